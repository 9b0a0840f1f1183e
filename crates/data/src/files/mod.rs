//! Rows from people's files: CSV, JSON lines and Parquet, also in gzip or zip, and folders or zips
//! of images with one folder per class. A file's type is detected from its content.

mod bad_row;
mod column_inference;
mod delimited;
mod images;
mod json_lines;
mod kind;
mod limits;
mod parquet_table;
mod records;
mod rows;
mod table;
mod unpack;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::DatasetInfo;

use crate::DataError;

pub use bad_row::BadRow;
pub use limits::ReadLimits;
pub(crate) use limits::{Memory, Reading};
pub(crate) use rows::{Bad, Gathered, LabeledRow};

use kind::{Kind, name_of};
use unpack::DEEPEST;

/// Result of adding a file.
#[derive(Debug, Clone, PartialEq)]
pub struct AddReport {
    pub info: DatasetInfo,
    /// Plain-language description of how the file was interpreted.
    pub understood: String,
    /// Number of skipped rows.
    pub bad_rows: u64,
    /// The first 20 of them.
    pub problems: Vec<BadRow>,
}

/// Reads a file or a folder.
pub(crate) fn gather(path: &Path, reading: &mut Reading<'_>) -> Result<Gathered, DataError> {
    if path.is_dir() {
        return gather_folder(path, reading);
    }
    match Kind::detect(path)? {
        Kind::Gzip => {
            let (folder, inner) = unpack::gzip(path, reading)?;
            if Kind::detect(&inner)? == Kind::Gzip {
                return Err(DataError::file(
                    path,
                    "is a gzip file inside a gzip file; unpack it once",
                ));
            }
            gather(&inner, reading).map_err(|error| error.calling(folder.path(), &name_of(path)))
        }
        Kind::Zip => {
            let folder = unpack::zip(path, reading)?;
            gather_folder(folder.path(), reading)
                .map_err(|error| error.calling(folder.path(), &name_of(path)))
        }
        kind @ (Kind::Parquet | Kind::JsonLines | Kind::Delimited) => {
            table::gather(&[(path, kind)], reading)
        }
    }
}

/// Reads a folder of images, of one table, or of a train and a test table.
fn gather_folder(folder: &Path, reading: &mut Reading<'_>) -> Result<Gathered, DataError> {
    let mut files = Vec::new();
    list(folder, &mut PathBuf::new(), &mut files)?;
    files.sort();
    let ends = |path: &PathBuf, endings: &[&str]| {
        let name = path.to_string_lossy().to_lowercase();
        endings.iter().any(|ending| name.ends_with(ending))
    };
    let images: Vec<&PathBuf> =
        files.iter().filter(|path| ends(path, &[".png", ".jpg", ".jpeg"])).collect();
    if !images.is_empty() {
        return images::gather(folder, &images, reading);
    }
    let tables: Vec<&PathBuf> = files
        .iter()
        .filter(|path| {
            ends(path, &[".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".gz"])
        })
        .collect();
    match tables.as_slice() {
        [] => Err(DataError::file(folder, "contains no image and no CSV, JSONL or Parquet file")),
        [one] => gather(&folder.join(one), reading),
        several => gather_splits(folder, several, reading),
    }
}

fn gather_splits(
    folder: &Path,
    tables: &[&PathBuf],
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let mut by_split: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for table in tables {
        let name = table.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        for split in ["train", "test"] {
            if name.starts_with(split) {
                by_split.insert(split, folder.join(table));
            }
        }
    }
    let (Some(train), Some(test), 2) = (by_split.get("train"), by_split.get("test"), tables.len())
    else {
        let names: Vec<String> = tables.iter().map(|table| table.display().to_string()).collect();
        let reason = format!(
            "contains several tables ({}); add only one, or exactly two whose names start with \
             train and test",
            names.join(", ")
        );
        return Err(DataError::file(folder, reason));
    };
    // The temporary folders must exist until both tables are read.
    let (train, _train_folder) = unpacked(train, reading)?;
    let (test, _test_folder) = unpacked(test, reading)?;
    let kinds = (Kind::detect(&train)?, Kind::detect(&test)?);
    table::gather(&[(&train, kinds.0), (&test, kinds.1)], reading)
}

fn unpacked(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<(PathBuf, Option<tempfile::TempDir>), DataError> {
    match Kind::detect(path)? {
        Kind::Gzip => unpack::gzip(path, reading).map(|(folder, inner)| (inner, Some(folder))),
        Kind::Zip => Err(DataError::file(path, "is a zip file inside a folder; unpack it")),
        Kind::Parquet | Kind::JsonLines | Kind::Delimited => Ok((path.to_owned(), None)),
    }
}

/// Lists all files below `folder`, relative to it, except hidden files and macOS metadata.
fn list(folder: &Path, inner: &mut PathBuf, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let here = folder.join(&*inner);
    for entry in fs::read_dir(&here).map_err(DataError::io(&here))? {
        let entry = entry.map_err(DataError::io(&here))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "__MACOSX" {
            continue;
        }
        // Links are not followed, because they could form cycles or lead out of the folder.
        let kind = entry.file_type().map_err(DataError::io(&here))?;
        inner.push(&name);
        if kind.is_file() {
            files.push(inner.clone());
        } else if kind.is_dir() && inner.components().count() < DEEPEST {
            list(folder, inner, files)?;
        }
        inner.pop();
    }
    Ok(())
}
