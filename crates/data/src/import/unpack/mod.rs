//! Unpacking of archives and packed files into a temporary folder, with limits on bytes and files. Names in
//! an archive never become paths on the disk: each file gets a number.

mod entries;
mod tar;
#[cfg(test)]
mod tests;
mod unpacked;
mod zip;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::limits::Reading;
use crate::DataError;

pub(super) use entries::{DEEPEST, MOST_FILES, is_hidden};

pub(super) use unpacked::Unpacked;

use entries::Entries;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Bzip2,
    Zstd,
    Zip,
    Tar,
}

impl Packing {
    /// Whether bytes begin with a header of a tar archive, by its checksum.
    pub(super) fn is_tar(start: &[u8]) -> bool {
        tar::is_header(start)
    }

    /// Unpacks a file whose name is `name`.
    pub(super) fn unpack(
        self,
        path: &Path,
        name: &str,
        reading: &mut Reading<'_>,
    ) -> Result<Unpacked, DataError> {
        let folder = tempfile::tempdir_in(reading.scratch).map_err(DataError::io(path))?;
        let mut entries = Entries::new(folder.path(), path, &mut reading.disk, &mut reading.memory);
        let file = || File::open(path).map(BufReader::new).map_err(DataError::io(path));
        let is_single = match self {
            Self::Gzip => stream(MultiGzDecoder::new(file()?), self, name, &mut entries)?,
            Self::Bzip2 => stream(MultiBzDecoder::new(file()?), self, name, &mut entries)?,
            Self::Zstd => {
                let decoder = ZstdDecoder::new(file()?).map_err(|error| entries.broken(&error))?;
                stream(decoder, self, name, &mut entries)?
            }
            Self::Zip => {
                zip::unpack(file()?, &mut entries)?;
                false
            }
            Self::Tar => {
                tar::unpack(file()?, &mut entries)?;
                false
            }
        };
        let unpacked = entries.into_unpacked();
        Ok(Unpacked { folder: Some(folder), is_single, ..unpacked })
    }

    /// Endings of packed files. The first stands for the archive's own, without `.tar`.
    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Gzip => &[".tar.gz", ".tgz", ".gz"],
            Self::Bzip2 => &[".tar.bz2", ".tbz2", ".tbz", ".bz2"],
            Self::Zstd => &[".tar.zst", ".tzst", ".zst", ".zstd"],
            Self::Zip => &[".zip"],
            Self::Tar => &[".tar"],
        }
    }

    /// Returns the name of a packed file without its ending.
    pub(super) fn inner_name(self, name: &str) -> &str {
        let ending = self.endings().iter().find(|ending| {
            let start = name.len().saturating_sub(ending.len());
            start > 0 && name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
        });
        ending.map_or(name, |ending| &name[..name.len() - ending.len()])
    }
}

/// Unpacks a stream: a tar archive, or one file. Returns whether it is one file.
fn stream(
    mut decoder: impl Read,
    packing: Packing,
    name: &str,
    entries: &mut Entries<'_>,
) -> Result<bool, DataError> {
    const BLOCK: u64 = 512;
    let mut start = Vec::new();
    (&mut decoder).take(BLOCK).read_to_end(&mut start).map_err(|error| entries.broken(&error))?;
    let is_tar = tar::is_header(&start);
    let all = io::Cursor::new(start).chain(decoder);
    if is_tar {
        tar::unpack(all, entries)?;
    } else {
        entries.add(packing.inner_name(name).to_owned(), all)?;
    }
    Ok(!is_tar)
}
