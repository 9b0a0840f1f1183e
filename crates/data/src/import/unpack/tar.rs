//! Unpacking of tar archives (POSIX ustar and pax, GNU). Long names are read here, because the library reads
//! them whole, however long they claim to be.

use std::io::{self, Read};

use ::tar::{Archive, PaxExtensions};

use super::entries::{Entries, Place};
use crate::DataError;

/// Most bytes of a long name or of pax records.
const MOST_EXTENSION: u64 = 1 << 16;

/// Whether bytes begin with a header of a tar archive: the sum of its bytes is in the header.
pub(super) fn is_header(start: &[u8]) -> bool {
    let Some(header) = start.get(..512) else { return false };
    let stated = str::from_utf8(&header[148..156]).unwrap_or_default();
    let stated = u64::from_str_radix(stated.trim_matches(['\0', ' ']), 8);
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    stated == Ok(sum)
}

/// Writes all files of an archive.
pub(super) fn unpack(source: impl Read, entries: &mut Entries<'_>) -> Result<(), DataError> {
    // Skipped entries count too, so that a small archive can't take hours.
    let headers = 64 << 20;
    let left = entries.left().saturating_add(headers);
    let mut archive = Archive::new(Limited { source, left });
    let (mut long_name, mut is_empty) = (None, true);
    let all = archive.entries().map_err(|error| entries.broken(&error))?;
    for entry in all.raw(true) {
        let mut entry = entry.map_err(|error| entries.broken(&error))?;
        is_empty = false;
        let kind = entry.header().entry_type();
        let mut extension = || {
            let mut bytes = Vec::new();
            (&mut entry).take(MOST_EXTENSION).read_to_end(&mut bytes).map(|_| bytes)
        };
        if kind.is_gnu_longname() {
            let bytes = extension().map_err(|error| entries.broken(&error))?;
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            long_name = Some(bytes[..end].to_vec());
            continue;
        }
        if kind.is_pax_local_extensions() {
            let bytes = extension().map_err(|error| entries.broken(&error))?;
            let records = PaxExtensions::new(&bytes).filter_map(Result::ok);
            let path = records.filter(|record| record.key_bytes() == b"path").last();
            long_name = path.map(|path| path.value_bytes().to_vec()).or(long_name);
            continue;
        }
        if kind.is_pax_global_extensions() || kind.is_gnu_longlink() {
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let name = String::from_utf8_lossy(&name).into_owned();
        if kind.is_dir() || name.ends_with('/') {
            continue;
        }
        let Place::File(name) = entries.place(&name)? else { continue };
        if kind.is_symlink() || kind.is_hard_link() {
            entries.skip(&name, "it is a link", "put the file itself into the archive");
        } else if kind.is_file() || kind.is_contiguous() {
            entries.add(name, entry)?;
        } else {
            entries.skip(&name, "it is not a plain file", "put a plain file into the archive");
        }
    }
    if is_empty {
        return Err(entries.refused("is an empty or damaged tar archive"));
    }
    Ok(())
}

/// Source that fails after a number of bytes.
struct Limited<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(read)
    }
}
