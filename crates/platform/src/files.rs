//! Locked folders, private files and disk space.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::private;

/// Maximum number of symbolic links from a path to its file, as in Linux.
const MAXIMUM_LINKS: usize = 40;

/// Lock of a folder, held until it is dropped or the process ends in any way.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Reason why a folder can't be locked.
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

/// Returns whether this process may create files in the folder.
pub fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

impl FolderLock {
    /// Locks `folder` for this process; creates it if necessary. Removes other accounts' access to it
    /// ([`private::tighten`]).
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        Self::take_file(folder, "lock")
    }

    /// Takes the lock file `name` in `folder`. A folder may have several.
    pub fn take_file(folder: &Path, name: &str) -> Result<Self, LockError> {
        let io = |source| LockError::Io { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        private::tighten(folder).map_err(io)?;
        // The file stays after the lock is released: removing it would let two processes lock two files.
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

/// Replaces `path` atomically with `bytes`, readable only by its owner. A reader sees the old or the new
/// file, even after a power failure. If `path` is a symbolic link, its target is replaced and the link stays.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = Replacement::beside(&link_target(path)?)?;
    new.as_file_mut().write_all(bytes)?;
    new.commit()
}

/// New content of a file: a temporary file in the same folder, readable only by its owner. Removed on drop, unless
/// it is committed.
#[derive(Debug)]
pub(crate) struct Replacement {
    file: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Creates an empty file with a unique name in the folder of `path`, which is not a link.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(path.file_name().unwrap_or_default());
        prefix.push(".");
        // Room for the random part, on file systems with at most 255 bytes.
        let prefix = if prefix.len() <= 200 { prefix } else { ".constellation.".into() };
        let file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder_of(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    pub(crate) fn temporary_path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn as_file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Makes the content durable and moves it into place.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

/// Returns the path to which a chain of symbolic links leads, or `path` itself if it is not a link. The last path
/// need not exist.
pub(crate) fn link_target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAXIMUM_LINKS {
        match fs::read_link(&path) {
            // A relative target is relative to the folder of its link.
            Ok(target) => path = folder_of(&path).join(target),
            // Not a link, or nothing exists there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    let text = format!("{} is a loop of symbolic links", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens `path` for appending. A new file is readable only by its owner.
pub fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Space on the disk that contains a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes available to this process.
    pub free: u64,
    /// Bytes of the whole file system.
    pub total: u64,
}

/// Returns the space on the disk that contains `path`. Space that macOS could free (purgeable) does not
/// count.
pub fn space(path: &Path) -> io::Result<Space> {
    let said = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
    Ok(Space { free: bytes(said.f_bavail), total: bytes(said.f_blocks) })
}

/// Swaps two files or folders of one file system atomically: both paths always exist, even after a power
/// failure.
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
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_neighbor_with_a_similar_name_is_never_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        let neighbors =
            ["settings.toml.new", "settings.toml.tmp", "settings.toml~", ".settings.toml"];
        for neighbor in neighbors {
            fs::write(folder.path().join(neighbor), neighbor).unwrap();
        }
        write_private(&path, b"new").unwrap();
        for neighbor in neighbors {
            assert_eq!(fs::read_to_string(folder.path().join(neighbor)).unwrap(), neighbor);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + neighbors.len());
    }

    #[test]
    fn a_private_file_behind_a_link_is_replaced_where_the_link_points() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("target"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        write_private(&link, b"new").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("target"));
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
