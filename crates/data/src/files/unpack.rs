//! Gzip and zip into a temporary folder, bounded in bytes and files, never outside it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;
use zip::ZipArchive;

use super::name_of;
use crate::DataError;

/// The most that a file may unpack to.
pub const MOST_BYTES: u64 = 8 << 30;
const MOST_FILES: usize = 2_000_000;

/// The file within a gzip, in a folder that is deleted when dropped.
pub fn gzip(path: &Path) -> Result<(TempDir, PathBuf), DataError> {
    let folder = temporary(path)?;
    let name = name_of(path);
    let inner = folder.path().join(name.strip_suffix(".gz").unwrap_or(&name));
    let source = MultiGzDecoder::new(File::open(path).map_err(DataError::io(path))?);
    copy(source, &inner, MOST_BYTES, path)?;
    Ok((folder, inner))
}

/// The files of a zip, in a folder that is deleted when dropped.
pub fn zip(path: &Path) -> Result<TempDir, DataError> {
    zip_within(path, MOST_BYTES)
}

fn zip_within(path: &Path, most_bytes: u64) -> Result<TempDir, DataError> {
    let broken = |error: &dyn ToString| {
        DataError::file(path, format!("is a damaged zip: {}", error.to_string()))
    };
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
    if archive.len() > MOST_FILES {
        return Err(DataError::file(path, format!("holds more than {MOST_FILES} files")));
    }
    let folder = temporary(path)?;
    let mut left = most_bytes;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        if !entry.is_file() || entry.is_symlink() {
            continue;
        }
        let Some(inner) = entry.enclosed_name() else {
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            return Err(DataError::file(path, format!("holds `{name}`, which leads out of it")));
        };
        let target = folder.path().join(inner);
        let parent = target.parent().unwrap_or(folder.path());
        fs::create_dir_all(parent).map_err(DataError::io(parent))?;
        left -= copy(entry, &target, left, path)?;
    }
    Ok(folder)
}

/// Counts what comes, not what a header promises.
fn copy(source: impl Read, target: &Path, most: u64, from: &Path) -> Result<u64, DataError> {
    let mut out = File::create(target).map_err(DataError::io(target))?;
    let copied = io::copy(&mut source.take(most.saturating_add(1)), &mut out)
        .map_err(|error| DataError::file(from, format!("cannot be unpacked: {error}")))?;
    if copied > most {
        let reason = format!("unpacks to more than {} GiB; add less of it", MOST_BYTES >> 30);
        return Err(DataError::file(from, reason));
    }
    Ok(copied)
}

fn temporary(path: &Path) -> Result<TempDir, DataError> {
    tempfile::Builder::new().prefix("constellation-").tempdir().map_err(DataError::io(path))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

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

    #[test]
    fn an_entry_that_leads_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a/../../out.csv", b"x")]);
        let error = zip(&path).unwrap_err().to_string();
        assert!(error.contains("leads out of it"), "{error}");
    }

    #[test]
    fn a_bomb_is_bounded_by_what_comes() {
        let folder = tempfile::tempdir().unwrap();
        let zeros = vec![0; 1 << 20];
        let path = archive(folder.path(), &[("a.csv", &zeros), ("b.csv", &zeros)]);
        assert!(fs::metadata(&path).unwrap().len() < 10_000);
        let error = zip_within(&path, (2 << 20) - 1).unwrap_err().to_string();
        assert!(error.contains("unpacks to more than"), "{error}");
        assert!(zip_within(&path, 2 << 20).is_ok());
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = archive(folder.path(), &[("a.csv", b"text,label\n")]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(zip(&path).unwrap_err().to_string().contains("damaged zip"));
        fs::write(&path, [0x1f, 0x8b, 8, 0, 1]).unwrap();
        assert!(gzip(&path).unwrap_err().to_string().contains("cannot be unpacked"));
    }
}
