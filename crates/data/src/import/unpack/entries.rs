//! Files that an archive holds, written to the disk one by one and counted.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::unpacked::{Skipped, Unpacked, UnpackedFile};
use crate::DataError;
use crate::import::limits::Memory;

/// Deepest folder level that is searched.
pub(in crate::import) const DEEPEST: usize = 8;

pub(in crate::import) const MOST_FILES: usize = 2_000_000;
/// Most skipped files that are listed. Others are counted.
const MOST_SKIPPED: usize = 1000;
/// Most bytes of a name.
const LONGEST_NAME: usize = 4096;
/// Most bytes of a file's name on the disk, below the limit of every file system.
const LONGEST_OWN_NAME: usize = 100;

/// Files of an archive while it is unpacked.
pub(super) struct Entries<'a> {
    folder: &'a Path,
    archive: &'a Path,
    left: &'a mut u64,
    memory: &'a mut Memory,
    /// Position of each name in the list.
    names: HashMap<String, usize>,
    seen: usize,
    unpacked: Unpacked,
}

/// Treatment of an entry of an archive.
pub(super) enum Place {
    /// Name of the file, with `/` between folders.
    File(String),
    Nothing,
}

impl<'a> Entries<'a> {
    /// `left` is the number of bytes that may still be written.
    pub(super) fn new(
        folder: &'a Path,
        archive: &'a Path,
        left: &'a mut u64,
        memory: &'a mut Memory,
    ) -> Self {
        let (names, unpacked) = (HashMap::new(), Unpacked::default());
        Self { folder, archive, left, memory, names, seen: 0, unpacked }
    }

    /// Returns where an entry of this name belongs.
    ///
    /// # Errors
    /// If the name leads out of the archive, or the archive has too many entries.
    pub(super) fn place(&mut self, name: &str) -> Result<Place, DataError> {
        self.seen += 1;
        if self.seen > MOST_FILES {
            let reason = format!("contains more than {MOST_FILES} files");
            return Err(DataError::file(self.archive, reason));
        }
        let Some(parts) = parts(name) else {
            let name: String = name.chars().take(200).collect();
            let reason = format!("contains `{name}`, a path outside of it");
            return Err(DataError::file(self.archive, reason));
        };
        if parts.iter().any(|part| is_hidden(part)) {
            self.unpacked.hidden += 1;
            return Ok(Place::Nothing);
        }
        let name = parts.join("/");
        if parts.is_empty() || name.len() > LONGEST_NAME {
            self.skip(&name, "it has no usable name", "rename it");
            return Ok(Place::Nothing);
        }
        if parts.len() > DEEPEST {
            self.skip(&name, "it is too deep in folders", "move it up to at most 7 folders");
            return Ok(Place::Nothing);
        }
        Ok(Place::File(name))
    }

    /// Writes a file. A later file of the same name replaces an earlier one, as archives are updated.
    pub(super) fn add(&mut self, name: String, source: impl Read) -> Result<(), DataError> {
        // The name is kept several times: here, in the path, and in lists of the import.
        let taken = self.memory.take(name.len() * 5 + 300);
        taken.map_err(|reason| self.refused(reason))?;
        let path = self.own_path(&name)?;
        let mut out = File::create(&path).map_err(DataError::io(&path))?;
        let most = self.left.saturating_add(1);
        // Counts the actual bytes, not those that a header claims.
        let copied = io::copy(&mut source.take(most), &mut out).map_err(|error| {
            if error.kind() == io::ErrorKind::StorageFull {
                return DataError::io(&path)(error);
            }
            self.broken(&error)
        })?;
        *self.left = self.left.checked_sub(copied).ok_or_else(|| self.too_large())?;
        let files = &mut self.unpacked.files;
        if let Some(earlier) = self.names.get(&name).and_then(|at| files.get_mut(*at)) {
            fs::remove_file(&earlier.path).map_err(DataError::io(&earlier.path))?;
            earlier.path = path;
            self.skip(&name, "a later file of the archive has the same name", "rename it");
        } else {
            self.names.insert(name.clone(), files.len());
            files.push(UnpackedFile { name, path });
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, name: &str, reason: &'static str, change: &'static str) {
        if self.unpacked.skipped.len() == MOST_SKIPPED {
            self.unpacked.skipped_more += 1;
            return;
        }
        let name = name.chars().take(200).collect();
        self.unpacked.skipped.push(Skipped { name, reason, change });
    }

    /// Number of bytes that may still be written.
    pub(super) fn left(&self) -> u64 {
        *self.left
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> DataError {
        DataError::file(self.archive, reason)
    }

    pub(super) fn broken(&self, error: &io::Error) -> DataError {
        if error.kind() == io::ErrorKind::FileTooLarge {
            return self.too_large();
        }
        self.refused(format!("can't be unpacked ({error})"))
    }

    pub(super) fn into_unpacked(self) -> Unpacked {
        self.unpacked
    }

    fn too_large(&self) -> DataError {
        self.refused(
            "unpacks to more than the allowed size; add a smaller file, or free disk space",
        )
    }

    /// Returns a new path. Its last part is like the file's own name, for messages of readers.
    fn own_path(&self, name: &str) -> Result<std::path::PathBuf, DataError> {
        let own = name.rsplit('/').next().unwrap_or(name);
        let is_safe =
            |character: &char| character.is_ascii_alphanumeric() || ".-_ ()+@".contains(*character);
        let mut safe: String = own.chars().filter(is_safe).collect();
        safe = safe.split_off(safe.len().saturating_sub(LONGEST_OWN_NAME));
        let folder = self.folder.join(self.seen.to_string());
        fs::create_dir(&folder).map_err(DataError::io(&folder))?;
        let safe = safe.trim_matches(['.', ' ']);
        Ok(folder.join(if safe.is_empty() { "file" } else { safe }))
    }
}

/// Whether systems write a file of this name for themselves.
pub(in crate::import) fn is_hidden(name: &str) -> bool {
    let known = ["__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r"];
    name.starts_with('.') || known.contains(&name.to_lowercase().as_str())
}

/// Returns the folders and the name of an entry, or `None` if it leads out of the archive. Windows'
/// programs write `\` between them. Absolute names are taken as relative.
fn parts(name: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let is_drive = |part: &&str| part.len() == 2 && part.ends_with(':');
    if parts.first().is_some_and(is_drive) {
        parts.remove(0);
    }
    Some(parts)
}
