//! How much may still be stored: less than the disk has, so that the database can always go on, and
//! no more than the administrator allows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Left free on the disk for the database and the trainer, in bytes …
const RESERVE: u64 = 256 << 20;
/// … and never more than this part of it: 1/50.
const RESERVE_PART: u64 = 50;

/// How long it is remembered what a folder holds: measuring it looks at every file. What was granted
/// since is added, so that it errs on the safe side.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Where it leaves no room: something may have been removed meanwhile.
const DOUBTED: Duration = Duration::from_secs(2);

/// The room of a data folder.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    /// The most bytes that the folder may hold; none where only the disk's end counts.
    maximum: Option<u64>,
    used: Mutex<Option<Used>>,
}

/// What a folder held, with what was granted since.
#[derive(Debug, Clone, Copy)]
struct Used {
    measured_at: Instant,
    bytes: u64,
}

/// Why there is no room, in words; comes within an [`io::Error`] that counts as a full disk.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum NoRoom {
    #[error(
        "the coordinator may use {maximum_gb:.3} GB (--maximum-disk-gb) and uses {used_gb:.3}: remove \
         data or raise the limit; nothing that was acknowledged is lost"
    )]
    Limit { maximum_gb: f64, used_gb: f64 },
    #[error(
        "the coordinator's disk is nearly full, and what is left is the database's: free some space \
         there and try again; nothing that was acknowledged is lost"
    )]
    Reserve,
}

impl Room {
    pub(crate) fn new(folder: &Path, maximum: Option<u64>) -> Self {
        Self { folder: folder.to_owned(), maximum, used: Mutex::new(None) }
    }

    /// Refuses to store `bytes` more where that would take what must stay free. Looks at the disk:
    /// to be asked once for many bytes.
    pub(crate) fn ask(&self, bytes: u64) -> io::Result<()> {
        if self.free()? < bytes {
            return Err(no_room(NoRoom::Reserve));
        }
        let Some(maximum) = self.maximum else { return Ok(()) };
        let mut kept = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |used: &Used| used.bytes.saturating_add(bytes) <= maximum;
        let fresh = kept.filter(|used| {
            used.measured_at.elapsed() < if fits(used) { REMEMBERED } else { DOUBTED }
        });
        let mut used = match fresh {
            Some(used) => used,
            None => Used { measured_at: Instant::now(), bytes: size(&self.folder)? },
        };
        let fits = fits(&used);
        let (maximum_gb, used_gb) = (maximum as f64 / 1e9, used.bytes as f64 / 1e9);
        used.bytes += if fits { bytes } else { 0 };
        *kept = Some(used);
        if fits { Ok(()) } else { Err(no_room(NoRoom::Limit { maximum_gb, used_gb })) }
    }
}

impl Room {
    /// Bytes that may still be stored. Looks at every file where there is a limit.
    pub(crate) fn left(&self) -> io::Result<u64> {
        let free = self.free()?;
        let Some(maximum) = self.maximum else { return Ok(free) };
        Ok(free.min(maximum.saturating_sub(size(&self.folder)?)))
    }

    /// Bytes that the disk has beside those that must stay free.
    fn free(&self) -> io::Result<u64> {
        let space = platform::files::space(&self.folder)?;
        Ok(space.free.saturating_sub(RESERVE.min(space.total / RESERVE_PART)))
    }
}

fn no_room(reason: NoRoom) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, reason)
}

/// Bytes in the files of a folder and of those in it; what goes meanwhile counts for nothing.
fn size(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let counted = match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(error),
        };
        match counted {
            Ok(bytes) => sum += bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_everything_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/a"), [0; 600]).unwrap();
        let room = Room::new(folder.path(), Some(1000));
        assert_eq!(room.left().unwrap(), 400);
        room.ask(400).unwrap();
        let error = room.ask(401).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("--maximum-disk-gb"), "{error}");
    }

    #[test]
    fn what_the_disk_lacks_is_refused_without_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(folder.path(), None);
        room.ask(1).unwrap();
        let error = room.ask(u64::MAX / 2).unwrap_err();
        assert!(error.to_string().contains("nearly full"), "{error}");
    }
}
