//! Type of a file, detected from its first bytes, and its name in messages.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::unreadable::{self, Inside};
use crate::DataError;

/// Type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gzip,
    Zip,
    Parquet,
    Workbook,
    JsonLines,
    Delimited,
    /// A format that is not read: what it is, and what to do.
    Unreadable(&'static str),
}

impl Kind {
    pub(super) fn detect(path: &Path) -> Result<Self, DataError> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(DataError::io(path))?;
        file.take(512).read_to_end(&mut start).map_err(DataError::io(path))?;
        let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
        Ok(match start.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => match unreadable::inside(path) {
                Inside::Workbook => Self::Workbook,
                Inside::Unreadable(reason) => Self::Unreadable(reason),
                Inside::Files => Self::Zip,
            },
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            start if let Some(reason) = unreadable::named(start) => Self::Unreadable(reason),
            _ if first == Some(&b'{') => Self::JsonLines,
            _ => Self::Delimited,
        })
    }
}

/// Returns the name of a file for messages.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
