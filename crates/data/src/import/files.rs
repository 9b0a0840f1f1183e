//! Files and folders of an import: unpacking, and the choice between images and tables.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::import::ImportOptions;

use super::import_file::{ImportFile, TableFile};
use super::kind::{Kind, name_of};
use super::limits::Reading;
use super::rows::Gathered;
use super::split_names::split_of_file;
use super::unpack::DEEPEST;
use super::{images, tables, unpack};
use crate::DataError;

/// Reads files and folders.
pub(super) fn gather(
    files: &[ImportFile],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    if let [file] = files {
        return gather_one(&file.path, options, reading);
    }
    // The temporary folders must exist until all tables are read.
    let (mut tables, mut folders) = (Vec::new(), Vec::new());
    for file in files {
        let name = name_of(&file.path);
        if file.path.is_dir() {
            let reason = "is a folder among several files; add only the folder";
            return Err(DataError::file(&file.path, reason));
        }
        let (path, folder) = unpacked(&file.path, reading)?;
        folders.push(folder);
        let split = file.split().or_else(|| split_of_file(&name, options));
        let is_stated = file.split().is_some();
        tables.push(TableFile { path, name, split, is_stated });
    }
    tables::gather(&tables, options, reading)
}

/// Reads a file or a folder.
fn gather_one(
    path: &Path,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    if path.is_dir() {
        return gather_folder(path, options, reading);
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
            gather_one(&inner, options, reading)
                .map_err(|error| error.calling(folder.path(), &name_of(path)))
        }
        Kind::Zip => {
            let folder = unpack::zip(path, reading)?;
            gather_folder(folder.path(), options, reading)
                .map_err(|error| error.calling(folder.path(), &name_of(path)))
        }
        Kind::Parquet
        | Kind::Workbook
        | Kind::JsonLines
        | Kind::Delimited
        | Kind::Unreadable(_) => {
            let (path, name) = (path.to_owned(), name_of(path));
            tables::gather(&[TableFile { path, name, split: None, is_stated: false }], options, reading)
        }
    }
}

/// Reads a folder of images, of one table, or of a train and a test table.
fn gather_folder(
    folder: &Path,
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
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
            ends(path, &[".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx", ".txt", ".gz"])
        })
        .collect();
    match tables.as_slice() {
        [] => Err(DataError::file(folder, "contains no image and no CSV, JSONL or Parquet file")),
        [one] => gather_one(&folder.join(one), options, reading),
        several => gather_splits(folder, several, options, reading),
    }
}

fn gather_splits(
    folder: &Path,
    tables: &[&PathBuf],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    // The temporary folders must exist until all tables are read.
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for table in tables {
        let split = split_of_file(&name_of(table), options);
        let (path, packed) = unpacked(&folder.join(table), reading)?;
        folders.push(packed);
        files.push(TableFile { path, name: table.display().to_string(), split, is_stated: false });
    }
    tables::gather(&files, options, reading)
}

fn unpacked(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<(PathBuf, Option<tempfile::TempDir>), DataError> {
    match Kind::detect(path)? {
        Kind::Gzip => unpack::gzip(path, reading).map(|(folder, inner)| (inner, Some(folder))),
        Kind::Zip => Err(DataError::file(path, "is a zip file inside a folder; unpack it")),
        Kind::Parquet
        | Kind::Workbook
        | Kind::JsonLines
        | Kind::Delimited
        | Kind::Unreadable(_) => Ok((path.to_owned(), None)),
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
