//! Datasets that earlier versions stored in folders: `NAME/{info.json, train.shard, test.shard}`, and `validation.shard` if there are
//! validation rows.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::dataset::DatasetInfo;

use crate::{DataError, Dataset, LoadProgress, Row, shard};

const INFO: &str = "info.json";
const TRAIN: &str = "train.shard";
const VALIDATION: &str = "validation.shard";
const TEST: &str = "test.shard";
/// Name prefix of an incomplete folder.
const ADDING: &str = ".adding-";

/// Checks that a name has 1 to 64 of the characters a–z, 0–9, _ and -.
pub fn check_name(name: &str) -> Result<(), DataError> {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(good) {
        Ok(())
    } else {
        Err(DataError::BadName(name.to_owned()))
    }
}

/// Returns the descriptions of all datasets, by name.
pub(crate) fn list(uploads: &Path) -> Vec<DatasetInfo> {
    let folders = fs::read_dir(uploads).into_iter().flatten().filter_map(Result::ok);
    let mut infos: Vec<DatasetInfo> = folders
        .filter(|folder| folder.file_name().to_str().is_some_and(|name| check_name(name).is_ok()))
        .filter_map(|folder| read_info(&folder.path()).ok().flatten())
        .collect();
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    infos
}

/// Returns the rows of a dataset. `None` if it does not exist.
pub(crate) fn load(
    uploads: &Path,
    name: &str,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Option<Dataset>, DataError> {
    if check_name(name).is_err() {
        return Ok(None);
    }
    let folder = uploads.join(name);
    let Some(info) = read_info(&folder)? else { return Ok(None) };
    let train = read_rows(&folder.join(TRAIN), &info)?;
    let validation = match info.validation_rows {
        0 => Vec::new(),
        _ => read_rows(&folder.join(VALIDATION), &info)?,
    };
    let test = read_rows(&folder.join(TEST), &info)?;
    let rows = train.len() + validation.len() + test.len();
    progress(LoadProgress::Reading { rows: rows as u64 });
    Ok(Some(Dataset { info, train, validation, test }))
}

/// Returns the files of a dataset.
pub(crate) fn files(uploads: &Path, name: &str) -> Option<Vec<PathBuf>> {
    check_name(name).ok()?;
    let folder = uploads.join(name);
    let mut files: Vec<PathBuf> = [INFO, TRAIN, TEST].map(|file| folder.join(file)).into();
    let validation = folder.join(VALIDATION);
    if validation.exists() {
        files.push(validation);
    }
    Some(files)
}

/// Removes the incomplete folders of a crash.
pub(crate) fn remove_partial_datasets(uploads: &Path) -> std::io::Result<()> {
    let folders = match fs::read_dir(uploads) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        folders => folders?,
    };
    for folder in folders {
        let folder = folder?;
        if folder.file_name().to_str().is_some_and(|name| name.starts_with(ADDING)) {
            fs::remove_dir_all(folder.path())?;
        }
    }
    Ok(())
}

fn read_info(folder: &Path) -> Result<Option<DatasetInfo>, DataError> {
    let path = folder.join(INFO);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| DataError::file(&path, format!("cannot be read: {error}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DataError::io(&path)(error)),
    }
}

fn read_rows(path: &Path, info: &DatasetInfo) -> Result<Vec<Row>, DataError> {
    let bytes = fs::read(path).map_err(DataError::io(path))?;
    let shard =
        shard::read(&bytes).map_err(|source| DataError::Shard { path: path.to_owned(), source })?;
    let classes = info.classes.len();
    if shard.sample != info.sample || shard.rows.iter().any(|row| row.label as usize >= classes) {
        return Err(DataError::file(path, format!("does not agree with its {INFO}; add it again")));
    }
    Ok(shard.rows)
}
