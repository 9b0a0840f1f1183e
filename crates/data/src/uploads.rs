//! Uploaded datasets on disk: `NAME/{info.json, train.shard, test.shard}`, and `validation.shard` if there are
//! validation rows.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use protocol::dataset::DatasetInfo;
use protocol::dataset::import::ImportOptions;

use crate::import::{self, ImportFile, ReadLimits};
use crate::{AddReport, DataError, Dataset, LoadProgress, Row, shard};

const INFO: &str = "info.json";
const TRAIN: &str = "train.shard";
const VALIDATION: &str = "validation.shard";
const TEST: &str = "test.shard";
/// Name prefix of an incomplete folder.
const ADDING: &str = ".adding-";

/// Checks that a name has 1 to 64 of the characters a–z, 0–9, _ and -.
pub(crate) fn check_name(name: &str) -> Result<(), DataError> {
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

/// Adds a dataset. Its folder appears atomically.
pub(crate) fn add(
    uploads: &Path,
    name: &str,
    added: &[ImportFile],
    options: &ImportOptions,
    bounds: ReadLimits,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<AddReport, DataError> {
    let folder = uploads.join(name);
    if folder.exists() {
        return Err(DataError::NameTaken(name.to_owned()));
    }
    fs::create_dir_all(uploads).map_err(DataError::io(uploads))?;
    let place = || tempfile::Builder::new().prefix(ADDING).tempdir_in(uploads);
    let scratch = place().map_err(DataError::io(uploads))?;
    let (dataset, report) = import::read(name, added, options, bounds, scratch.path(), progress)?;
    let Dataset { info, train, validation, test } = dataset;
    let parts = [(TRAIN, &train), (VALIDATION, &validation), (TEST, &test)];
    let stored: usize =
        parts.iter().flat_map(|(_, rows)| rows.iter()).map(|row| row.sample.bytes().len()).sum();
    if stored as u64 > bounds.disk {
        let (stored, disk) = (stored >> 20, bounds.disk >> 20);
        let reason =
            format!("its rows need {stored} MiB of disk space, but only {disk} MiB are available");
        return Err(DataError::File { file: import::shown(added), reason });
    }
    let new = place().map_err(DataError::io(uploads))?;
    for (part, rows) in parts {
        if part == VALIDATION && rows.is_empty() {
            continue;
        }
        let bytes = shard::write(info.sample, &rows.iter().collect::<Vec<_>>());
        write(&new.path().join(part), &bytes)?;
    }
    let json = serde_json::to_vec_pretty(&info)
        .map_err(|error| DataError::file(&folder, error.to_string()))?;
    write(&new.path().join(INFO), &json)?;
    sync(new.path())?;
    // Fails if the same name was added in the meantime: a rename replaces only an empty folder.
    fs::rename(new.path(), &folder).map_err(|source| {
        if folder.join(INFO).exists() {
            DataError::NameTaken(name.to_owned())
        } else {
            DataError::Io { path: folder.clone(), source }
        }
    })?;
    sync(uploads)?;
    Ok(report)
}

/// Removes incomplete datasets after a crash. No dataset may be added at the same time.
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

/// Flushes the folder's entries to disk.
fn sync(folder: &Path) -> Result<(), DataError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(DataError::io(folder))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut file = File::create(path).map_err(DataError::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(DataError::io(path))
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
