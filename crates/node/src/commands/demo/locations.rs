//! Folders that a demo reads or writes, printed for the person who runs it.

use std::path::Path;

use protocol::dataset::DatasetEntry;

use super::screen::Screen;

/// Prints the demo's folder, and the folder outside it that every demo writes.
pub(super) fn note_locations(screen: &Screen, folder: &Path) {
    screen.note(format_args!("folder: {} (removed at the end)", folder.display()));
    if let Ok(cache) = platform::folders::cache() {
        screen.note(format_args!("GPU shader cache: {}", cache.display()));
    }
}

/// Prints from where the dataset is read, unless it is part of the program.
pub(super) fn note_dataset(screen: &Screen, dataset: &DatasetEntry) {
    if dataset.origin == "embedded" {
        return;
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match variable("CONSTELLATION_DATA_DIR") {
        Some(dir) => screen.note(format_args!(
            "datasets: {} (CONSTELLATION_DATA_DIR), otherwise downloaded",
            Path::new(&dir).display()
        )),
        None => screen.note("datasets: downloaded (CONSTELLATION_DATA_DIR is not set)"),
    }
    match variable("HF_HOME") {
        Some(dir) => {
            screen.note(format_args!("download cache: {}", Path::new(&dir).display()));
        }
        None => screen.note("download cache: ~/.cache/huggingface"),
    }
}
