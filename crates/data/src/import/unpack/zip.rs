//! Unpacking of zip archives (APPNOTE 6.3), with the names that Finder, PowerShell and others write.

use std::fs::File;
use std::io::BufReader;

use ::zip::{CompressionMethod, ZipArchive};

use super::entries::{Entries, Place};
use crate::DataError;

/// Writes all files of an archive.
pub(super) fn unpack(file: BufReader<File>, entries: &mut Entries<'_>) -> Result<(), DataError> {
    let broken = |entries: &Entries<'_>, error: &dyn ToString| {
        entries.refused(format!("is a damaged zip file ({})", error.to_string()))
    };
    let mut archive = ZipArchive::new(file).map_err(|error| broken(entries, &error))?;
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(|error| broken(entries, &error))?;
        let raw = entry.name_raw();
        // Finder writes UTF-8 without the flag for it. Others without the flag are in code page 437.
        let name = match str::from_utf8(raw) {
            Ok(name) => name.to_owned(),
            Err(_) => entry.name().map_or_else(|_| String::from_utf8_lossy(raw).into(), Into::into),
        };
        if entry.is_dir() || name.ends_with('\\') {
            continue;
        }
        let (is_link, is_encrypted) = (entry.is_symlink(), entry.encrypted());
        let method = entry.compression();
        let Place::File(name) = entries.place(&name)? else { continue };
        if is_link {
            entries.skip(&name, "it is a link", "put the file itself into the archive");
            continue;
        }
        if is_encrypted {
            let reason = format!(
                "is an encrypted zip file (`{name}`); unpack it with its password and add the folder"
            );
            return Err(entries.refused(reason));
        }
        if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
            let reason = format!(
                "has `{name}` compressed by {method}, which is not read; pack it with the usual method \
                 (deflate), or unpack it and add the folder"
            );
            return Err(entries.refused(reason));
        }
        let entry = archive.by_index(index).map_err(|error| broken(entries, &error))?;
        entries.add(name, entry)?;
    }
    Ok(())
}
