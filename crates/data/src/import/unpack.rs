//! Unpacking of gzip and zip into a temporary folder, with limits on bytes and files, and never
//! outside the folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;
use zip::ZipArchive;

use super::kind::name_of;
use super::limits::Reading;
use crate::DataError;

/// Deepest folder level that is searched.
pub(super) const DEEPEST: usize = 8;

const MOST_FILES: usize = 2_000_000;

/// Unpacks a gzip file into a folder that is deleted when dropped.
pub(super) fn gzip(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<(TempDir, PathBuf), DataError> {
    let folder = temporary(path, reading)?;
    let name = name_of(path);
    let inner = folder.path().join(name.strip_suffix(".gz").unwrap_or(&name));
    let source = MultiGzDecoder::new(File::open(path).map_err(DataError::io(path))?);
    copy(source, &inner, &mut reading.disk, path)?;
    Ok((folder, inner))
}

/// Unpacks a zip file into a folder that is deleted when dropped.
pub(super) fn zip(path: &Path, reading: &mut Reading<'_>) -> Result<TempDir, DataError> {
    let broken = |error: &dyn ToString| {
        DataError::file(path, format!("is a damaged zip file ({})", error.to_string()))
    };
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
    if archive.len() > MOST_FILES {
        return Err(DataError::file(path, format!("contains more than {MOST_FILES} files")));
    }
    let folder = temporary(path, reading)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        if !entry.is_file() || entry.is_symlink() {
            continue;
        }
        let Some(inner) = entry.enclosed_name() else {
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            return Err(DataError::file(path, format!("contains `{name}`, a path outside of it")));
        };
        // Too deep to be read, and each file could create folders without limit.
        if inner.components().count() > DEEPEST {
            continue;
        }
        let target = folder.path().join(inner);
        let parent = target.parent().unwrap_or(folder.path());
        fs::create_dir_all(parent).map_err(DataError::io(parent))?;
        copy(entry, &target, &mut reading.disk, path)?;
    }
    Ok(folder)
}

/// Copies a file and counts its actual bytes, not those that a header claims.
fn copy(source: impl Read, target: &Path, left: &mut u64, from: &Path) -> Result<(), DataError> {
    let mut out = File::create(target).map_err(DataError::io(target))?;
    let copied = io::copy(&mut source.take(left.saturating_add(1)), &mut out).map_err(|error| {
        if error.kind() == io::ErrorKind::StorageFull {
            return DataError::io(target)(error);
        }
        DataError::file(from, format!("can't be unpacked ({error})"))
    })?;
    *left = left.checked_sub(copied).ok_or_else(|| {
        let reason =
            "unpacks to more than the allowed size; add a smaller file, or free disk space";
        DataError::file(from, reason)
    })?;
    Ok(())
}

fn temporary(path: &Path, reading: &Reading<'_>) -> Result<TempDir, DataError> {
    tempfile::tempdir_in(reading.scratch).map_err(DataError::io(path))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::import::limits::Memory;

    fn archive(folder: &Path, entries: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join("it.zip");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    /// Unpacks with this limit of bytes.
    fn within<T>(
        path: &Path,
        bytes: u64,
        unpack: impl FnOnce(&Path, &mut Reading<'_>) -> Result<T, DataError>,
    ) -> Result<T, String> {
        let mut reading = Reading {
            scratch: path.parent().ok_or("no folder")?,
            disk: bytes,
            memory: Memory::with_limit(0),
            progress: &mut |_| {},
        };
        unpack(path, &mut reading).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_outside_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a/../../out.csv", b"x")]);
        let error = within(&path, 100, zip).unwrap_err();
        assert!(error.contains("a path outside of it"), "{error}");
    }

    #[test]
    fn only_files_below_the_folder_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.zip");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        let options = SimpleFileOptions::default();
        writer.add_symlink("link", folder.path().display().to_string(), options).unwrap();
        writer.start_file("link/through.csv", options).unwrap();
        writer.start_file(format!("{}deep.csv", "a/".repeat(DEEPEST)), options).unwrap();
        writer.finish().unwrap();
        let unpacked = within(&path, 100, zip).unwrap();
        let found = |path: &str| unpacked.path().join(path).symlink_metadata();
        assert!(found("link").unwrap().is_dir(), "the next entry created a folder");
        assert!(found("link/through.csv").unwrap().is_file());
        assert!(found("a").is_err(), "too deep");
        assert!(!folder.path().join("through.csv").exists());
    }

    #[test]
    fn an_absolute_name_stays_below_the_folder_or_is_refused() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = elsewhere.path().join("out.csv");
        let path = archive(folder.path(), &[(target.to_str().unwrap(), b"x")]);
        drop(within(&path, 100, zip));
        assert!(!target.exists());
    }

    #[test]
    fn a_zip_bomb_is_bounded_by_its_actual_size() {
        let folder = tempfile::tempdir().unwrap();
        let zeros = vec![0; 1 << 20];
        let path = archive(folder.path(), &[("a.csv", &zeros), ("b.csv", &zeros)]);
        assert!(fs::metadata(&path).unwrap().len() < 10_000);
        let error = within(&path, (2 << 20) - 1, zip).unwrap_err();
        assert!(error.contains("unpacks to more than"), "{error}");
        within(&path, 2 << 20, zip).unwrap();
    }

    #[test]
    fn damage_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a.csv", b"text,label\n")]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(within(&path, 100, zip).unwrap_err().contains("damaged zip"));
        fs::write(&path, [0x1f, 0x8b, 8, 0, 1]).unwrap();
        assert!(within(&path, 100, gzip).unwrap_err().contains("can't be unpacked"));
    }
}
