//! A backup: everything that a coordinator is, in one file. It is a tar archive that any tool can
//! look into: first `manifest.json`, which names every other entry with its length and its BLAKE3,
//! then the database as it was at one moment, the cluster's key and certificate, the datasets that
//! people added, and exactly the blobs that this database names.
//!
//! The file holds the cluster's private key and the company's rows: it is its owner's alone.

mod restore;
mod schedule;
mod verify;
mod write;

use std::io;
use std::path::{Component, Path, PathBuf};

use protocol::{BlobHash, Timestamp};
use serde::{Deserialize, Serialize};

pub use restore::{RestoreError, Restored, restore};
pub use schedule::BackupSchedule;
pub(crate) use schedule::{ScheduleState, Scheduled};
pub use verify::verify;
pub(crate) use write::{Backup, Source};

use crate::store::StoreError;

/// The archive's layout; a program reads its own and earlier ones.
const FORMAT: u32 = 1;
/// The first entry.
const MANIFEST: &str = "manifest.json";
/// A manifest is never longer: some hundred thousand blobs.
const LONGEST_MANIFEST: u64 = 64 << 20;
/// The database in the archive and in a data folder.
pub(crate) const DATABASE_FILE: &str = "constellation.db";
/// Likewise the cluster's key and certificate.
const CLUSTER_FOLDER: &str = "cluster";
/// Likewise the datasets that people added.
const DATASETS_FOLDER: &str = "datasets";
/// Likewise the blobs.
pub(crate) const BLOBS_FOLDER: &str = "blobs";
/// How a backup's name begins and ends.
const NAME: (&str, &str) = ("constellation-", ".tar");
/// Of a tar archive: a header is one, and contents are filled up to a whole number of them.
const BLOCK: u64 = 512;
/// What ends an archive: two empty blocks.
const END: [u8; 1024] = [0; 1024];

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The program that wrote it.
    pub constellation: String,
    /// The version of its database.
    pub database: u32,
    pub cluster_id: String,
    pub created_at: Timestamp,
    pub entries: Vec<Entry>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From the data folder.
    pub path: String,
    pub bytes: u64,
    pub blake3: BlobHash,
}

impl Manifest {
    /// Of all files together.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

/// Why a backup can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{0}, which the database names, is gone: the backup would not be whole; is the disk sound?"
    )]
    Missing(String),
    #[error(
        "{0} has other bytes than it must have: the backup would not be whole; is the disk sound?"
    )]
    Damaged(String),
    #[error("this is not a backup of Constellation: {0}")]
    Foreign(String),
    #[error("the backup is damaged: {0}; take another one")]
    Broken(String),
    #[error(
        "the backup is of a newer Constellation ({written_by}): restore it with that version or a later one"
    )]
    Newer { written_by: String },
}

impl BackupError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }
}

/// What a backup of this moment is called.
pub(crate) fn file_name(now: Timestamp) -> String {
    let (start, end) = NAME;
    format!("{start}{}{end}", now.to_string().replace(':', ""))
}

/// Where an entry belongs within a data folder; none where it must not be written at all.
fn place(path: &str) -> Option<PathBuf> {
    let plain = |part: Component<'_>| match part {
        Component::Normal(part) => part.to_str().is_some_and(|part| !part.is_empty()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    };
    let place = Path::new(path);
    let first = place.components().next()?.as_os_str().to_str()?;
    let parts = place.components().count();
    let known = match first {
        DATABASE_FILE => parts == 1,
        CLUSTER_FOLDER => parts == 2,
        DATASETS_FOLDER | BLOBS_FOLDER => parts == 3,
        _ => false,
    };
    (known && place.components().all(plain)).then(|| place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_data_folder_has_is_written() {
        for good in ["constellation.db", "cluster/key.pem", "datasets/a/info.json", "blobs/ab/cd"] {
            assert!(place(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../constellation.db",
            "blobs/../../x",
            "datasets/a/../../../x",
            "cluster",
            "cluster/a/b",
            "lock",
            "admin-token",
            "constellation.db/x",
        ] {
            assert!(place(bad).is_none(), "{bad}");
        }
    }
}
