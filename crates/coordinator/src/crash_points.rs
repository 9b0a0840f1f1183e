//! Crash points: named instants before and after each write that must be durable.
//!
//! The crash tests kill the process at each point and check that nothing acknowledged is lost. Without a
//! test's callback, passing a point does nothing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! points {
    ($($(#[doc = $text:literal])+ $point:ident,)+) => {
        /// A named instant at which a test can kill the process.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum CrashPoint {
            $($(#[doc = $text])+ $point,)+
        }

        impl CrashPoint {
            /// Every crash point.
            pub const ALL: &[Self] = &[$(Self::$point),+];
        }
    };
}

points! {
    /// Start: the database is open and migrated; nothing else is done.
    DatabaseOpened,
    /// Start: this machine's token is in the database; its file is not written.
    OwnTokenStored,
    /// Start: the address file is written; no request has been answered.
    AddressWritten,
    /// A batch is decided; none of it is written.
    CommitBegun,
    /// A batch's rows are written in a transaction that is not committed.
    CommitWritten,
    /// A batch is durable; its callers have no answer yet.
    Committed,
    /// A batch's changes are published and its steps started; its callers have no answer yet.
    Published,
    /// Every caller of a batch has an answer.
    Answered,
    /// A blob's bytes are written but not synced.
    BlobWritten,
    /// A blob's bytes are durable under a temporary name.
    BlobSynced,
    /// A blob has its final name; its folder is not synced.
    BlobRenamed,
    /// A blob is durable; its caller has no answer yet.
    BlobStored,
    /// Part of an upload is written.
    UploadChunk,
    /// An upload is completely written and synced; its hash is not checked.
    UploadSynced,
    /// Garbage blobs are found; none of them is removed.
    GarbageFound,
    /// One garbage blob is removed.
    GarbageRemoved,
    /// A step of a job begins.
    StepBegun,
    /// A job's shards are stored; its initial weights are not.
    ShardsStored,
    /// A preparation is done; the driver has not received its result.
    Prepared,
    /// An aggregation is done; the driver has not received its result.
    Aggregated,
    /// An evaluation is done; the driver has not received its result.
    Evaluated,
    /// A model's file is stored; the model is not registered.
    ModelWritten,
    /// The shards of an added dataset are stored; its version is not committed.
    DatasetPlaced,
    /// A scheduled backup's snapshot is taken; none of the backup is written.
    BackupTaken,
    /// A scheduled backup is written under a temporary name but not synced.
    BackupWritten,
    /// A scheduled backup has its final name; earlier ones are not removed.
    BackupPlaced,
}

/// Callback that is called at every crash point.
#[derive(Clone, Default)]
pub struct CrashPoints(Option<Arc<dyn Fn(CrashPoint) + Send + Sync>>);

impl CrashPoints {
    /// Calls `at` on the thread that passes the point; the thread continues when `at` returns.
    pub fn new(at: impl Fn(CrashPoint) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(at)))
    }

    /// Reports that execution reached `point`.
    pub(crate) fn pass(&self, point: CrashPoint) {
        if let Some(at) = &self.0 {
            at(point);
        }
    }
}

impl fmt::Debug for CrashPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Points").finish_non_exhaustive()
    }
}
