//! Storage key: encrypts the device's cache and lease workspaces. It is created when the device enrolls,
//! kept in the system's secret store, and destroyed first when the device is revoked or leaves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use platform::Secrets;
use protocol::encrypted_file::StorageKey;

/// Name of the key among the folder's secrets.
pub(crate) const NAME: &str = "sealing-key";

/// Returns the folder of fetched blobs in a worker's data folder.
pub(crate) fn cache(data_dir: &Path) -> PathBuf {
    data_dir.join("cache")
}

/// Returns the folder of lease workspaces in a worker's data folder.
pub(crate) fn workspaces(data_dir: &Path) -> PathBuf {
    data_dir.join("leases")
}

/// Returns the key of this data folder. Creates it if there is none, and then removes files encrypted
/// with an earlier key, because they can't be decrypted any more.
pub(crate) fn key(data_dir: &Path) -> io::Result<StorageKey> {
    let secrets = Secrets::open(data_dir)?;
    let kept = secrets.get(NAME)?.and_then(|bytes| bytes.try_into().ok());
    if let Some(bytes) = kept {
        return Ok(StorageKey::from_bytes(bytes));
    }
    remove_files(data_dir)?;
    let bytes: [u8; 32] = rand::random();
    secrets.set(NAME, &bytes)?;
    Ok(StorageKey::from_bytes(bytes))
}

/// Destroys the key, then the files that it encrypted. Returns the size of the removed files in bytes.
/// Idempotent.
pub(crate) fn destroy(data_dir: &Path) -> io::Result<u64> {
    // The key goes first: files that remain, or that are recovered from spare blocks of the disk,
    // can't be decrypted without it.
    Secrets::open(data_dir)?.remove(NAME)?;
    remove_files(data_dir)
}

fn remove_files(data_dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for folder in [cache(data_dir), workspaces(data_dir)] {
        bytes += size(&folder)?;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(bytes)
}

/// Returns the size in bytes of all files below a folder, 0 if the folder does not exist.
fn size(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destroying_a_key_removes_the_files_that_it_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).unwrap();
        let write_file = |directory: PathBuf| {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("file"), [0; 100]).unwrap();
        };
        write_file(cache(folder.path()));
        write_file(workspaces(folder.path()).join("work"));
        assert_eq!(key(folder.path()).unwrap(), first);
        assert_eq!(size(folder.path()).unwrap(), 232, "includes the key's 32 bytes");

        assert_eq!(destroy(folder.path()).unwrap(), 200);
        assert_eq!(size(folder.path()).unwrap(), 0);
        assert_eq!(destroy(folder.path()).unwrap(), 0);
        let second = key(folder.path()).unwrap();
        assert_ne!(second, first);
    }

    #[test]
    fn files_of_a_lost_key_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        key(folder.path()).unwrap();
        fs::create_dir_all(cache(folder.path())).unwrap();
        fs::write(cache(folder.path()).join("blob"), "sealed").unwrap();
        Secrets::open(folder.path()).unwrap().remove(NAME).unwrap();
        key(folder.path()).unwrap();
        assert!(!cache(folder.path()).exists());
    }
}
