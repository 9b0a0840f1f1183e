//! The moments at which a coordinator's death would be worst: before and after each thing that must
//! be durable. Tests end the process there and look whether anything acknowledged is missing; to
//! everybody else a point is nothing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! points {
    ($($(#[doc = $words:literal])+ $point:ident,)+) => {
        /// A moment to die at.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum CrashPoint {
            $($(#[doc = $words])+ $point,)+
        }

        impl CrashPoint {
            /// Every point there is: a test dies at each.
            pub const ALL: &[Self] = &[$(Self::$point),+];
        }
    };
}

points! {
    /// Start: the database is open and up to date, nothing else is done.
    DatabaseOpened,
    /// Start: this machine's token is in the database, its file is not written.
    OwnTokenStored,
    /// Start: the address is written, nobody has been answered.
    AddressWritten,
    /// A batch is decided, nothing of it is written.
    CommitBegun,
    /// A batch's rows are written in a transaction that is still open.
    CommitWritten,
    /// A batch is durable, nobody has heard of it.
    Committed,
    /// What a batch changed is shown and its steps are started, nobody has been answered.
    Published,
    /// Everybody who asked for the batch is answered.
    Answered,
    /// A blob's bytes are written, not synced.
    BlobWritten,
    /// A blob's bytes are durable under another name.
    BlobSynced,
    /// A blob is in its place, its folder is not synced.
    BlobRenamed,
    /// A blob is durable, nobody has heard of it.
    BlobStored,
    /// Some of an upload is written.
    UploadChunk,
    /// All of an upload is written and synced, its hash is not checked.
    UploadSynced,
    /// Blobs are known to be garbage, none of them is removed.
    GarbageFound,
    /// One blob of the garbage is removed.
    GarbageRemoved,
    /// A step of a job begins.
    StepBegun,
    /// A job's shards are stored, its first weights are not.
    ShardsStored,
    /// The driver does not know that a preparation is done.
    Prepared,
    /// The driver does not know that an aggregation is done.
    Aggregated,
    /// The driver does not know that an evaluation is done.
    Evaluated,
    /// The model's file is stored, the model is not registered.
    ModelWritten,
    /// An added dataset is in its place, nobody has heard of it.
    DatasetPlaced,
    /// A scheduled backup's moment is held fast, nothing of it is written.
    BackupTaken,
    /// A scheduled backup is written under another name, not synced.
    BackupWritten,
    /// A scheduled backup is in its place, earlier ones are not removed.
    BackupPlaced,
}

/// Who is told of every point as it is passed.
#[derive(Clone, Default)]
pub struct CrashPoints(Option<Arc<dyn Fn(CrashPoint) + Send + Sync>>);

impl CrashPoints {
    /// `at` is called on the thread that passes the point, which goes on when it returns.
    pub fn new(at: impl Fn(CrashPoint) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(at)))
    }

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
