//! Reading of the files below `/proc` and `/sys`.

use std::path::{Path, PathBuf};

/// Reads a file as text, trimmed.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().to_owned()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Lists a folder's entries by name; empty if the folder does not exist.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
