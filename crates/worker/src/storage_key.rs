//! The key that the device's files are sealed with: made when the device enrols, kept where the
//! system keeps secrets, destroyed before anything else when the device is let go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use platform::Secrets;
use protocol::encrypted_file::StorageKey;

/// The key among the folder's secrets.
pub(crate) const NAME: &str = "sealing-key";

/// The folder of fetched blobs in a worker's data folder.
pub(crate) fn cache(data_dir: &Path) -> PathBuf {
    data_dir.join("cache")
}

/// The folder of leases in work.
pub(crate) fn desks(data_dir: &Path) -> PathBuf {
    data_dir.join("leases")
}

/// The key of this data folder; made where there is none. What an earlier key sealed is removed
/// then: nobody can open it.
pub(crate) fn key(data_dir: &Path) -> io::Result<StorageKey> {
    let secrets = Secrets::of(data_dir)?;
    let kept = secrets.get(NAME)?.and_then(|bytes| bytes.try_into().ok());
    if let Some(bytes) = kept {
        return Ok(StorageKey::from_bytes(bytes));
    }
    empty(data_dir)?;
    let bytes: [u8; 32] = rand::random();
    secrets.set(NAME, &bytes)?;
    Ok(StorageKey::from_bytes(bytes))
}

/// Destroys the key and then what it sealed; gives the bytes of files that were removed. Doing it
/// again does no harm.
pub(crate) fn destroy(data_dir: &Path) -> io::Result<u64> {
    // In this order: after it, whatever is still there, or comes back from a disk's spare blocks,
    // can't be opened.
    Secrets::of(data_dir)?.remove(NAME)?;
    empty(data_dir)
}

fn empty(data_dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for folder in [cache(data_dir), desks(data_dir)] {
        bytes += size(&folder)?;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(bytes)
}

/// Bytes of all files below a folder; 0 where it isn't there.
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
    fn a_key_stays_until_it_is_destroyed_and_takes_its_files_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).unwrap();
        let put = |place: PathBuf| {
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("file"), [0; 100]).unwrap();
        };
        put(cache(folder.path()));
        put(desks(folder.path()).join("work"));
        assert_eq!(key(folder.path()).unwrap(), first);
        assert_eq!(size(folder.path()).unwrap(), 232, "the key is there too");

        assert_eq!(destroy(folder.path()).unwrap(), 200);
        assert_eq!(size(folder.path()).unwrap(), 0);
        assert_eq!(destroy(folder.path()).unwrap(), 0);
        let second = key(folder.path()).unwrap();
        assert_ne!(second, first);
    }

    #[test]
    fn a_key_that_was_lost_leaves_nothing_that_nobody_can_open() {
        let folder = tempfile::tempdir().unwrap();
        key(folder.path()).unwrap();
        fs::create_dir_all(cache(folder.path())).unwrap();
        fs::write(cache(folder.path()).join("blob"), "sealed").unwrap();
        Secrets::of(folder.path()).unwrap().remove(NAME).unwrap();
        key(folder.path()).unwrap();
        assert!(!cache(folder.path()).exists());
    }
}
