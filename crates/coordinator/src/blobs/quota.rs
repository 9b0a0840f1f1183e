//! Disk quota of the data folder.
//!
//! Some of the disk is always left free, so that the database can keep working. An administrator can set
//! a lower limit for the whole folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes left free on the disk for the database and the trainer.
const RESERVE: u64 = 256 << 20;
/// Limits the reserve to 1/50 of a small disk.
const RESERVE_DIVISOR: u64 = 50;

/// Time for which a measured folder size is reused, because measuring visits every file. Bytes granted
/// since are added, so the estimate is never too low.
const MEASUREMENT_LIFETIME: Duration = Duration::from_mins(1);
/// The same for a measurement that leaves no space, because files may have been removed since.
const FULL_MEASUREMENT_LIFETIME: Duration = Duration::from_secs(2);

/// Disk quota of a data folder.
#[derive(Debug)]
pub(crate) struct DiskQuota {
    folder: PathBuf,
    /// Maximum size of the folder in bytes; `None` if only the disk limits it.
    maximum: Option<u64>,
    used: Mutex<Option<Used>>,
}

/// Measured size of the folder plus the bytes granted since.
#[derive(Debug, Clone, Copy)]
struct Used {
    measured_at: Instant,
    bytes: u64,
}

/// Reason for a refused write, wrapped in an [`io::Error`] of kind `StorageFull`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum QuotaError {
    #[error(
        "the coordinator's disk quota is full ({used_gb:.3} of {maximum_gb:.3} GB used): remove data or \
         raise --maximum-disk-gb; no acknowledged data is lost"
    )]
    Limit { maximum_gb: f64, used_gb: f64 },
    #[error(
        "the coordinator's disk is nearly full, and the rest is reserved for the database: free some \
         space and try again; no acknowledged data is lost"
    )]
    Reserve,
}

impl DiskQuota {
    pub(crate) fn new(folder: &Path, maximum: Option<u64>) -> Self {
        Self { folder: folder.to_owned(), maximum, used: Mutex::new(None) }
    }

    /// Grants `bytes` more, or fails if they don't fit. Queries the disk, so call it once for many bytes.
    pub(crate) fn check(&self, bytes: u64) -> io::Result<()> {
        if self.free()? < bytes {
            return Err(quota_error(QuotaError::Reserve));
        }
        let Some(maximum) = self.maximum else { return Ok(()) };
        let mut measured = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |used: &Used| used.bytes.saturating_add(bytes) <= maximum;
        let fresh = measured.filter(|used| {
            let lifetime =
                if fits(used) { MEASUREMENT_LIFETIME } else { FULL_MEASUREMENT_LIFETIME };
            used.measured_at.elapsed() < lifetime
        });
        let mut used = match fresh {
            Some(used) => used,
            None => Used { measured_at: Instant::now(), bytes: size(&self.folder)? },
        };
        let fits = fits(&used);
        let (maximum_gb, used_gb) = (maximum as f64 / 1e9, used.bytes as f64 / 1e9);
        used.bytes += if fits { bytes } else { 0 };
        *measured = Some(used);
        if fits { Ok(()) } else { Err(quota_error(QuotaError::Limit { maximum_gb, used_gb })) }
    }

    /// Returns the bytes that may still be stored. Visits every file if there is a limit.
    pub(crate) fn left(&self) -> io::Result<u64> {
        let free = self.free()?;
        let Some(maximum) = self.maximum else { return Ok(free) };
        Ok(free.min(maximum.saturating_sub(size(&self.folder)?)))
    }

    /// Returns the free bytes of the disk beyond the reserve.
    fn free(&self) -> io::Result<u64> {
        let space = platform::files::space(&self.folder)?;
        Ok(space.free.saturating_sub(RESERVE.min(space.total / RESERVE_DIVISOR)))
    }
}

fn quota_error(reason: QuotaError) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, reason)
}

/// Returns the size of all files below a folder. Files that disappear meanwhile are not counted.
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
        let quota = DiskQuota::new(folder.path(), Some(1000));
        assert_eq!(quota.left().unwrap(), 400);
        quota.check(400).unwrap();
        let error = quota.check(401).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("--maximum-disk-gb"), "{error}");
    }

    #[test]
    fn a_full_disk_is_refused_without_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let quota = DiskQuota::new(folder.path(), None);
        quota.check(1).unwrap();
        let error = quota.check(u64::MAX / 2).unwrap_err();
        assert!(error.to_string().contains("nearly full"), "{error}");
    }
}
