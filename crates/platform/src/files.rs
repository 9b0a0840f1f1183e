//! Files that one process owns or that nobody else may read, and the disk below them.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::private;

/// A folder in use by this process, until dropped or until the process ends however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "{} is in use by another Constellation: stop that one, or give another --data-dir",
        folder.display()
    )]
    Taken { folder: PathBuf },
    #[error("can't lock {}: {source}; is the folder writable?", folder.display())]
    Io { folder: PathBuf, source: io::Error },
}

/// Whether this process may put files into the folder.
pub fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

impl FolderLock {
    /// Takes `folder` for this process; makes it where it isn't there. It is a folder of ours, so
    /// nobody else may read it from now on ([`private::tighten`]).
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        Self::take_file(folder, "lock")
    }

    /// Takes the lock with the file name `name` in `folder`: one of several that a folder may have.
    pub fn take_file(folder: &Path, name: &str) -> Result<Self, LockError> {
        let io = |source| LockError::Io { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        private::tighten(folder).map_err(io)?;
        // The file stays when the lock goes: removing it would let two processes lock two files.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join(name))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// Replaces `path` by `bytes`, readable by its owner alone: a reader sees the old file or the new
/// one, also after a power cut. One writer at a time.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // A leftover may be readable by others: the mode counts only for a file that is made.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// Opens `path` for writing at its end; where it has to be made, it is readable by its owner alone.
pub fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Room on the disk that holds a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still use.
    pub free: u64,
    /// Bytes of the whole file system.
    pub total: u64,
}

/// Room on the disk that holds `path`. What the system would make room for by itself (macOS calls it
/// purgeable) doesn't count.
pub fn space(path: &Path) -> io::Result<Space> {
    let said = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
    Ok(Space { free: bytes(said.f_bavail), total: bytes(said.f_blocks) })
}

/// Lets two files or folders of one file system change places in one step: at every moment there is
/// something at either path, also after a power cut.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?;
    for path in [one, other] {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(LockError::Taken { .. })));
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn folders_change_places() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (place, file) in [(&one, "a"), (&other, "b")] {
            fs::create_dir(place).unwrap();
            fs::write(place.join(file), file).unwrap();
        }
        exchange(&one, &other).unwrap();
        assert_eq!(fs::read(other.join("a")).unwrap(), b"a");
        assert_eq!(fs::read(one.join("b")).unwrap(), b"b");
        assert!(exchange(&one, &folder.path().join("none")).is_err());
    }

    #[test]
    fn a_disk_has_no_more_room_than_it_is_large() {
        let space = space(Path::new("/")).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
    }

    #[test]
    fn a_private_file_is_replaced_and_only_the_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write_private(&path, b"old").unwrap();
        fs::write(folder.path().join("token.new"), b"a leftover").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
