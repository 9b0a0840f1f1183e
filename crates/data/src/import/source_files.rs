//! Files of an import: those in folders and archives, one by one, with archives inside them unpacked too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::import::SplitName;
use tempfile::TempDir;

use super::content::{self, Content};
use super::import_file::ImportFile;
use super::kind::name_of;
use super::limits::Reading;
use super::rows::Bad;
use super::unpack::{DEEPEST, MOST_FILES, Packing, Unpacked, is_hidden};
use crate::DataError;

/// Most times that a file is packed, such as a gzip file in a zip archive in a zip archive.
const MOST_NESTED: usize = 3;

/// File with rows or images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Name in the folder or the archive, with `/` between folders.
    pub name: String,
    /// Name in errors, with that of the folder or the archive.
    pub shown: String,
    pub path: PathBuf,
    pub content: Content,
    /// Split that the file's role states.
    pub split: Option<SplitName>,
}

/// All files of an import, by name.
#[derive(Debug, Default)]
pub(super) struct SourceFiles {
    pub files: Vec<SourceFile>,
    pub bad: Bad,
    /// Whether the import is one file, possibly packed.
    pub is_one: bool,
    /// Container of the files, as it is appended to the format: `in a zip file`.
    pub place: &'static str,
    /// Exist as long as the files are read.
    folders: Vec<TempDir>,
    hidden: u64,
    /// Number of entries of all archives.
    unpacked: u64,
}

/// File that is not looked into yet.
struct Listed {
    name: String,
    path: PathBuf,
}

/// Source of a file.
#[derive(Clone, Copy)]
struct Origin<'a> {
    file: &'a ImportFile,
    /// Number of times that its bytes were packed.
    packed: usize,
}

impl SourceFiles {
    /// Lists and unpacks everything.
    pub(super) fn from_files(
        files: &[ImportFile],
        reading: &mut Reading<'_>,
    ) -> Result<Self, DataError> {
        let mut all = Self::default();
        for file in files {
            let (path, name) = (&file.path, name_of(&file.path));
            let origin = Origin { file, packed: 0 };
            let prefix = if files.len() > 1 { format!("{name}/") } else { String::new() };
            if path.is_dir() {
                all.place = " in a folder";
                let mut listed = Vec::new();
                all.list(path, &mut PathBuf::new(), &prefix, &mut listed)?;
                all.look_into(listed, origin, reading)?;
                continue;
            }
            match content::detect(path)? {
                Content::Packed(packing) => {
                    let (unpacked, words) = unpack(packing, path, &name, reading)?;
                    all.place = words;
                    all.is_one = files.len() == 1 && unpacked.is_single;
                    let stem = packing.inner_name(&name);
                    let prefix = match (files.len() > 1, unpacked.is_single) {
                        (true, false) => format!("{stem}/"),
                        (_, _) => String::new(),
                    };
                    all.take(unpacked, &prefix, Origin { packed: 1, ..origin }, reading)?;
                }
                content @ (Content::Empty
                | Content::Image(_)
                | Content::UnreadImage(_)
                | Content::Unread(_)
                | Content::Binary
                | Content::Other) => {
                    all.is_one = files.len() == 1;
                    all.push(Listed { name, path: path.clone() }, content, origin);
                }
            }
        }
        all.files.sort_by_cached_key(|file| natural(&file.name));
        if all.hidden > 0 {
            let what = "file of the system, such as .DS_Store or Thumbs.db";
            all.bad.left_out.push_many(what, "nothing", all.hidden);
        }
        Ok(all)
    }

    /// Replaces paths by the names of the files.
    pub(super) fn named(&self, error: DataError) -> DataError {
        self.files.iter().fold(error, |error, file| error.calling(&file.path, &file.shown))
    }

    fn look_into(
        &mut self,
        listed: Vec<Listed>,
        origin: Origin<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<(), DataError> {
        let names: BTreeSet<String> = listed.iter().map(|file| file.name.clone()).collect();
        for file in listed {
            let content = content::detect(&file.path)?;
            let Content::Packed(packing) = content else {
                self.push(file, content, origin);
                continue;
            };
            if origin.packed >= MOST_NESTED {
                let reason = "is packed more than 3 times; unpack it once";
                return Err(DataError::File {
                    file: shown(origin.file, &file.name),
                    reason: reason.to_owned(),
                });
            }
            let stem = format!("{}/", packing.inner_name(&file.name));
            if names.range(stem.clone()..).next().is_some_and(|name| name.starts_with(&stem)) {
                self.bad.leave_out(
                    &file.name,
                    None,
                    "it is an archive beside the folder of its name",
                    "remove the folder, or rename the archive",
                );
                continue;
            }
            let packed = origin.packed + 1;
            let shown = shown(origin.file, &file.name);
            let unpacked = unpack(packing, &file.path, &file.name, reading)
                .map_err(|error| error.calling(&file.path, &shown));
            let (unpacked, _) = unpacked?;
            let prefix = match (unpacked.is_single, file.name.rsplit_once('/')) {
                (false, _) => stem,
                (true, Some((folders, _))) => format!("{folders}/"),
                (true, None) => String::new(),
            };
            self.take(unpacked, &prefix, Origin { packed, ..origin }, reading)?;
        }
        Ok(())
    }

    /// Takes the content of an archive.
    fn take(
        &mut self,
        unpacked: Unpacked,
        prefix: &str,
        origin: Origin<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<(), DataError> {
        let Unpacked { files, skipped, skipped_more, hidden, is_single, folder } = unpacked;
        self.folders.extend(folder);
        self.hidden += hidden;
        self.unpacked += (files.len() + skipped.len()) as u64 + skipped_more + hidden;
        if self.unpacked > MOST_FILES as u64 {
            let reason = format!("contains more than {MOST_FILES} files");
            return Err(DataError::file(&origin.file.path, reason));
        }
        if skipped_more > 0 {
            self.bad.left_out.push_many("further files that are not read", "nothing", skipped_more);
        }
        for skipped in skipped {
            let name = format!("{prefix}{}", skipped.name);
            self.bad.leave_out(&name, None, skipped.reason, skipped.change);
        }
        let named = files.into_iter().map(|file| {
            // The name of a packed file already has its folders.
            let own = if is_single {
                file.name.rsplit('/').next().unwrap_or_default()
            } else {
                &file.name
            };
            Listed { name: format!("{prefix}{own}"), path: file.path.clone() }
        });
        let listed = named.collect();
        self.look_into(listed, origin, reading)
    }

    fn push(&mut self, file: Listed, content: Content, origin: Origin<'_>) {
        let Listed { name, path } = file;
        let is_whole = origin.packed == 0 && !origin.file.path.is_dir();
        let shown = if is_whole { name.clone() } else { shown(origin.file, &name) };
        self.files.push(SourceFile { name, shown, path, content, split: origin.file.split() });
    }

    /// Lists all files below `folder` except those of the system.
    fn list(
        &mut self,
        folder: &Path,
        inner: &mut PathBuf,
        prefix: &str,
        listed: &mut Vec<Listed>,
    ) -> Result<(), DataError> {
        let here = folder.join(&*inner);
        for entry in fs::read_dir(&here).map_err(DataError::io(&here))? {
            let entry = entry.map_err(DataError::io(&here))?;
            let own_name = entry.file_name();
            if is_hidden(&own_name.to_string_lossy()) {
                self.hidden += 1;
                continue;
            }
            let kind = entry.file_type().map_err(DataError::io(&here))?;
            inner.push(&own_name);
            let parts = inner.components().map(|part| part.as_os_str().to_string_lossy());
            let name = format!("{prefix}{}", parts.collect::<Vec<_>>().join("/"));
            if kind.is_file() {
                listed.push(Listed { name, path: folder.join(&*inner) });
            } else if !kind.is_dir() {
                // Links are not followed, because they could form cycles or lead out of the folder.
                let reason =
                    if kind.is_symlink() { "it is a link" } else { "it is not a plain file" };
                self.bad.leave_out(&name, None, reason, "put the file itself into the folder");
            } else if inner.components().count() < DEEPEST {
                self.list(folder, inner, prefix, listed)?;
            } else {
                let change = "move it up to at most 7 folders";
                self.bad.leave_out(&name, None, "it is too deep in folders", change);
            }
            inner.pop();
        }
        Ok(())
    }
}

fn unpack(
    packing: Packing,
    path: &Path,
    name: &str,
    reading: &mut Reading<'_>,
) -> Result<(Unpacked, &'static str), DataError> {
    let unpacked = packing.unpack(path, name, reading)?;
    let words = match (packing, unpacked.is_single) {
        (Packing::Gzip, true) => " in gzip",
        (Packing::Gzip, false) => " in a tar.gz file",
        (Packing::Bzip2, true) => " in bzip2",
        (Packing::Bzip2, false) => " in a tar.bz2 file",
        (Packing::Zstd, true) => " in zstd",
        (Packing::Zstd, false) => " in a tar.zst file",
        (Packing::Zip, _) => " in a zip file",
        (Packing::Tar, _) => " in a tar file",
    };
    Ok((unpacked, words))
}

fn shown(file: &ImportFile, name: &str) -> String {
    let archive = name_of(&file.path);
    if name.starts_with(&format!("{archive}/")) {
        name.to_owned()
    } else {
        format!("{archive}/{name}")
    }
}

/// Key that sorts numbers in names by their value, so that part 10 follows part 9.
pub(super) fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, u64)> = vec![(String::new(), 0)];
    let mut digits = String::new();
    let finish = |digits: &mut String, parts: &mut Vec<(String, u64)>| {
        if let (Some(last), false) = (parts.last_mut(), digits.is_empty()) {
            // A number of more than 18 digits stays text.
            match (digits.len() < 19).then(|| digits.parse().ok()).flatten() {
                Some(number) => last.1 = number,
                None => last.0.push_str(digits),
            }
            digits.clear();
            parts.push((String::new(), 0));
        }
    };
    for character in name.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
        } else {
            finish(&mut digits, &mut parts);
            if let Some(last) = parts.last_mut() {
                last.0.push(character);
            }
        }
    }
    finish(&mut digits, &mut parts);
    parts.push((name.to_owned(), 0));
    parts
}
