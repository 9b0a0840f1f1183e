//! Backups: a coordinator's whole state in one tar archive.
//!
//! The first entry is `manifest.json`, which lists every other entry with its length and BLAKE3 hash.
//! Then follow a consistent copy of the database, the cluster's key and certificate, the datasets that
//! people added, and exactly the blobs that this database names.
//!
//! A backup contains the cluster's private key and the company's data, so only its owner may read it.

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

/// Version of the archive's layout. A program reads its own version and earlier ones.
const FORMAT: u32 = 1;
/// Name of the first entry.
const MANIFEST: &str = "manifest.json";
/// Maximum size of a manifest in bytes: some hundred thousand blobs.
const LONGEST_MANIFEST: u64 = 64 << 20;
/// Name of the database in an archive and in a data folder.
pub(crate) const DATABASE_FILE: &str = "constellation.db";
/// Folder of the cluster's key and certificate, in both.
const CLUSTER_FOLDER: &str = "cluster";
/// Folder of the datasets that people added, in both.
const DATASETS_FOLDER: &str = "datasets";
/// Folder of the blobs, in both.
pub(crate) const BLOBS_FOLDER: &str = "blobs";
/// Prefix and suffix of a backup's file name.
const NAME_AFFIXES: (&str, &str) = ("constellation-", ".tar");
/// Block size of a tar archive in bytes. A header is one block; contents are padded to whole blocks.
const BLOCK: u64 = 512;
/// End of an archive: two empty blocks.
const END: [u8; 1024] = [0; 1024];

/// The manifest of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Version of the program that wrote the backup.
    pub constellation: String,
    /// Schema version of its database.
    pub database: u32,
    pub cluster_id: String,
    pub created_at: Timestamp,
    pub entries: Vec<Entry>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path relative to the data folder.
    pub path: String,
    pub bytes: u64,
    pub blake3: BlobHash,
}

impl Manifest {
    /// Returns the size of all files together.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

/// Error of making or reading a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{0} is missing although the database names it, so the backup would be incomplete; check the disk"
    )]
    Missing(String),
    #[error("{0} is damaged, so the backup would be incomplete; check the disk")]
    Damaged(String),
    #[error("this is not a backup of Constellation: {0}")]
    Foreign(String),
    #[error("the backup is damaged: {0}; use another backup")]
    Broken(String),
    #[error(
        "a newer Constellation ({written_by}) wrote this backup: restore it with that version or a later one"
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

/// Returns the file name of a backup that is made now.
pub(crate) fn file_name(now: Timestamp) -> String {
    let (start, end) = NAME_AFFIXES;
    format!("{start}{}{end}", now.to_string().replace(':', ""))
}

/// Returns an entry's path within a data folder, or `None` if the path is not one that a backup may
/// contain.
fn data_folder_path(path: &str) -> Option<PathBuf> {
    let plain = |part: Component<'_>| match part {
        Component::Normal(part) => part.to_str().is_some_and(|part| !part.is_empty()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    };
    let relative = Path::new(path);
    let first = relative.components().next()?.as_os_str().to_str()?;
    let parts = relative.components().count();
    let known = match first {
        DATABASE_FILE => parts == 1,
        CLUSTER_FOLDER => parts == 2,
        DATASETS_FOLDER | BLOBS_FOLDER => parts == 3,
        _ => false,
    };
    (known && relative.components().all(plain)).then(|| relative.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_a_data_folder_are_accepted() {
        for good in ["constellation.db", "cluster/key.pem", "datasets/a/info.json", "blobs/ab/cd"] {
            assert!(data_folder_path(good).is_some(), "{good}");
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
            assert!(data_folder_path(bad).is_none(), "{bad}");
        }
    }
}
