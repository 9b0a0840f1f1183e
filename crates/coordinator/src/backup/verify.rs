//! Reading and verifying a backup.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use protocol::BlobHash;
use serde::Deserialize;

use super::write::Hashed;
use super::{BackupError, Entry, FORMAT, LONGEST_MANIFEST, MANIFEST, Manifest, data_folder_path};
use crate::store::KNOWN_VERSION;

/// Reads the whole backup in `file` and compares it with its manifest.
///
/// # Errors
/// If the file is not a backup, was written by a newer program, or is damaged.
pub fn verify(file: &Path) -> Result<Manifest, BackupError> {
    read(file, |_, contents| io::copy(contents, &mut io::sink()).map(drop))
}

/// Passes every entry to `take`, which must read all of it, and compares it with the manifest.
pub(super) fn read(
    file: &Path,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, BackupError> {
    let opened = File::open(file).map_err(BackupError::at(file))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, opened));
    let unreadable = |error: io::Error| BackupError::Broken(error.to_string());
    let mut parts = archive.entries().map_err(unreadable)?;
    let first = parts.next().ok_or_else(|| BackupError::Foreign("it is empty".to_owned()))?;
    let manifest = manifest(first)?;
    for entry in &manifest.entries {
        let ends = || BackupError::Broken(format!("it ends before {}", entry.path));
        let part = parts.next().ok_or_else(ends)?.map_err(unreadable)?;
        let matches = part.path_bytes().as_ref() == entry.path.as_bytes()
            && part.header().entry_type() == tar::EntryType::Regular
            && part.size() == entry.bytes;
        if !matches || data_folder_path(&entry.path).is_none() {
            return Err(BackupError::Broken(format!("{} does not match the manifest", entry.path)));
        }
        let mut contents = Hashed { inner: part, hasher: blake3::Hasher::new() };
        take(entry, &mut contents).map_err(BackupError::io(entry.path.clone()))?;
        if BlobHash::from(contents.hasher.finalize()) != entry.blake3 {
            return Err(BackupError::Broken(format!(
                "{} does not have the hash in the manifest",
                entry.path
            )));
        }
    }
    if parts.next().is_some() {
        return Err(BackupError::Broken("it has entries that are not in its manifest".to_owned()));
    }
    Ok(manifest)
}

/// The fields of a manifest that every version has, to recognize a newer one.
#[derive(Deserialize)]
struct Format {
    format: u32,
    constellation: String,
}

fn manifest<R: Read>(first: io::Result<tar::Entry<'_, R>>) -> Result<Manifest, BackupError> {
    let foreign = |error: io::Error| BackupError::Foreign(error.to_string());
    let first = first.map_err(foreign)?;
    if first.path_bytes().as_ref() != MANIFEST.as_bytes() || first.size() > LONGEST_MANIFEST {
        return Err(BackupError::Foreign(format!("it does not begin with {MANIFEST}")));
    }
    let mut text = Vec::new();
    first.take(LONGEST_MANIFEST).read_to_end(&mut text).map_err(foreign)?;
    let damaged = |error: serde_json::Error| BackupError::Broken(format!("{MANIFEST}: {error}"));
    let format: Format = serde_json::from_slice(&text).map_err(damaged)?;
    if format.format > FORMAT {
        return Err(BackupError::Newer { written_by: format.constellation });
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(damaged)?;
    if manifest.database > KNOWN_VERSION {
        return Err(BackupError::Newer { written_by: manifest.constellation });
    }
    Ok(manifest)
}
