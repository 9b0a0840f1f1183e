//! Restore: replaces a data folder by a backup, completely or not at all.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use platform::{FolderLock, LockError};
use protocol::Timestamp;
use protocol::audit::{Action, SubjectKind};
use tempfile::TempDir;

use super::{BackupError, DATABASE_FILE, Manifest, verify};
use crate::access::caller::{Caller, detail};
use crate::store;

/// Result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub manifest: Manifest,
    /// New path of the previous data folder, if it was not empty.
    pub before: Option<PathBuf>,
}

/// Error of a restore. The data folder is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    InUse(#[from] LockError),
    #[error(
        "{} is not empty: use --force to replace it by the backup (its present content is kept \
         beside it), or use another --data-dir", folder.display()
    )]
    NotEmpty { folder: PathBuf },
}

/// Restores the backup in `file` to `data_dir`. No coordinator may be running on that folder. A folder
/// that is not empty is replaced only with `force` and is kept beside the new one. `progress` receives
/// the size of each file as it is written.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    file: &Path,
    data_dir: &Path,
    force: bool,
    now: Timestamp,
    mut progress: impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    let _lock = FolderLock::take(data_dir)?;
    let is_empty = is_empty(data_dir).map_err(BackupError::at(data_dir))?;
    if !is_empty && !force {
        return Err(RestoreError::NotEmpty { folder: data_dir.to_owned() });
    }
    // Resolves a symbolic link, so that the link itself is kept.
    let data_dir = fs::canonicalize(data_dir).map_err(BackupError::at(data_dir))?;
    let parent = data_dir.parent().unwrap_or(Path::new("/"));
    let new = tempfile::Builder::new().prefix(".restoring-").tempdir_in(parent);
    let new = new.map_err(BackupError::at(parent))?;
    let manifest = verify::read(file, |entry, contents| {
        progress(entry.bytes);
        write(&new.path().join(&entry.path), contents)
    })?;
    let detail = detail([
        ("backup_of", manifest.created_at.to_string()),
        ("version", manifest.constellation.clone()),
    ]);
    let cluster = &manifest.cluster_id;
    let caller = Caller::coordinator();
    let record = caller.record(now, Action::Restored, SubjectKind::Coordinator, cluster, detail);
    store::adopt(&new.path().join(DATABASE_FILE), &record).map_err(BackupError::Store)?;
    sync(new.path()).map_err(BackupError::at(new.path()))?;
    let before = exchange(new, &data_dir, is_empty, now)?;
    Ok(Restored { manifest, before })
}

/// Returns whether the folder holds nothing but its lock file.
fn is_empty(folder: &Path) -> io::Result<bool> {
    let mut names = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name()));
    names.try_fold(true, |empty, name| Ok(empty && name? == "lock"))
}

fn write(path: &Path, contents: &mut dyn io::Read) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(contents, &mut file)?;
    file.sync_all()
}

/// Syncs the folder and its subfolders, so that the names are durable too.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Exchanges the folders atomically and renames the previous one to `….before-restore-…`.
fn exchange(
    new: TempDir,
    data_dir: &Path,
    was_empty: bool,
    now: Timestamp,
) -> Result<Option<PathBuf>, BackupError> {
    platform::files::exchange(new.path(), data_dir).map_err(BackupError::at(data_dir))?;
    // From here on `new` is the previous folder. If it was empty, its guard removes it.
    if was_empty {
        return Ok(None);
    }
    let old = new.keep();
    let mut name = data_dir.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".before-restore-{}", now.as_millis()));
    let kept = data_dir.with_file_name(name);
    // A failed rename doesn't undo the restore.
    Ok(Some(fs::rename(&old, &kept).map_or(old, |()| kept)))
}
