//! The datasets that people added, as they lie on disk: `NAME/{info.json, train.shard, test.shard}`.

use std::fs;
use std::path::Path;

use protocol::dataset::DatasetInfo;

use crate::{AddReport, DataError, Dataset, LoadProgress, Row, shard};

const INFO: &str = "info.json";
const TRAIN: &str = "train.shard";
const TEST: &str = "test.shard";

/// Refuses what is not 1 to 64 of a–z, 0–9, _ and -.
pub fn check_name(name: &str) -> Result<(), DataError> {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(good) {
        Ok(())
    } else {
        Err(DataError::BadName(name.to_owned()))
    }
}

/// What is said of each dataset, by name.
pub fn list(uploads: &Path) -> Vec<DatasetInfo> {
    let folders = fs::read_dir(uploads).into_iter().flatten().filter_map(Result::ok);
    let mut infos: Vec<DatasetInfo> = folders
        .filter(|folder| folder.file_name().to_str().is_some_and(|name| check_name(name).is_ok()))
        .filter_map(|folder| read_info(&folder.path()).ok().flatten())
        .collect();
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    infos
}

/// The rows of one, or `None` where nobody added it.
pub fn load(
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
    let test = read_rows(&folder.join(TEST), &info)?;
    progress(LoadProgress::Reading { rows: (train.len() + test.len()) as u64 });
    Ok(Some(Dataset { info, train, test }))
}

pub fn add(
    _uploads: &Path,
    _name: &str,
    file: &Path,
    _progress: &mut dyn FnMut(LoadProgress),
) -> Result<AddReport, DataError> {
    Err(DataError::file(file, "not built yet"))
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
