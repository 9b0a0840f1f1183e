//! Result of unpacking.

use std::path::PathBuf;

use tempfile::TempDir;

/// Content of an archive.
#[derive(Debug, Default)]
pub(in crate::import) struct Unpacked {
    pub files: Vec<UnpackedFile>,
    pub skipped: Vec<Skipped>,
    /// Number of further skipped files.
    pub skipped_more: u64,
    /// Number of files that systems write for themselves, such as `.DS_Store`.
    pub hidden: u64,
    /// Whether the file was one packed file, not an archive of files.
    pub is_single: bool,
    /// Exists as long as the files are read.
    pub folder: Option<TempDir>,
}

/// File of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::import) struct UnpackedFile {
    /// Name in the archive, with `/` between folders.
    pub name: String,
    pub path: PathBuf,
}

/// File of an archive that is not unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::import) struct Skipped {
    pub name: String,
    pub reason: &'static str,
    pub change: &'static str,
}
