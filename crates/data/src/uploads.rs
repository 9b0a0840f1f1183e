//! Uploaded datasets on disk: `NAME/{info.json, train.shard, test.shard}`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use protocol::dataset::DatasetInfo;
use protocol::text;

use crate::files::{self, Bad, Gathered, LabeledRow, Memory, ReadLimits, Reading};
use crate::{AddReport, DataError, Dataset, LoadProgress, Row, shard, split};

const INFO: &str = "info.json";
const TRAIN: &str = "train.shard";
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
    let test = read_rows(&folder.join(TEST), &info)?;
    progress(LoadProgress::Reading { rows: (train.len() + test.len()) as u64 });
    Ok(Some(Dataset { info, train, test }))
}

/// Returns the files of a dataset.
pub(crate) fn files(uploads: &Path, name: &str) -> Option<Vec<PathBuf>> {
    check_name(name).ok()?;
    Some([INFO, TRAIN, TEST].map(|file| uploads.join(name).join(file)).into())
}

/// Adds a dataset. Its folder appears atomically.
pub(crate) fn add(
    uploads: &Path,
    name: &str,
    file: &Path,
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
    let ReadLimits { disk, memory } = bounds;
    let memory = Memory::with_limit(memory);
    let mut reading = Reading { scratch: scratch.path(), disk, memory, progress };
    let (dataset, report) = read(name, file, &mut reading)?;
    let Dataset { info, train, test } = dataset;
    let stored: usize = train.iter().chain(&test).map(|row| row.sample.bytes().len()).sum();
    if stored as u64 > disk {
        let (stored, disk) = (stored >> 20, disk >> 20);
        let reason =
            format!("its rows need {stored} MiB of disk space, but only {disk} MiB are available");
        return Err(DataError::file(file, reason).calling(file, &shown(file)));
    }
    let new = place().map_err(DataError::io(uploads))?;
    for (part, rows) in [(TRAIN, &train), (TEST, &test)] {
        let bytes = shard::write(info.sample, &rows.iter().collect::<Vec<_>>());
        write(&new.path().join(part), &bytes)?;
    }
    let json = serde_json::to_vec_pretty(&info)
        .map_err(|error| DataError::file(file, error.to_string()))?;
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

/// Reads a file or folder as a dataset of this name without storing it.
pub fn read_file(
    name: &str,
    file: &Path,
    bounds: ReadLimits,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<(Dataset, AddReport), DataError> {
    let scratch = tempfile::tempdir().map_err(DataError::io(file))?;
    let (scratch, memory) = (scratch.path(), Memory::with_limit(bounds.memory));
    read(name, file, &mut Reading { scratch, disk: bounds.disk, memory, progress })
}

fn read(
    name: &str,
    file: &Path,
    reading: &mut Reading<'_>,
) -> Result<(Dataset, AddReport), DataError> {
    let (dataset, understood, bad) = files::gather(file, reading)
        .and_then(|gathered| assemble(name, file, gathered))
        .map_err(|error| error.calling(file, &shown(file)))?;
    let info = dataset.info.clone();
    let report = AddReport { info, understood, bad_rows: bad.count, problems: bad.first };
    Ok((dataset, report))
}

/// Returns the display name of a file.
fn shown(file: &Path) -> Cow<'_, str> {
    file.file_name().unwrap_or_default().to_string_lossy()
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

/// Numbers the classes, splits the rows, and rejects data that can't be used for training.
fn assemble(
    name: &str,
    file: &Path,
    gathered: Gathered,
) -> Result<(Dataset, String, Bad), DataError> {
    let Gathered { shape, train, test, classes, understood, bad } = gathered;
    let good = train.len() + test.as_ref().map_or(0, Vec::len);
    let rows = good as u64 + bad.count;
    if bad.count * 10 > rows {
        return Err(bad.too_many(file, good as u64));
    }
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for row in train.iter().chain(test.iter().flatten()) {
        *counts.entry(&row.class).or_default() += 1;
    }
    let found: Vec<String> = counts.keys().map(ToString::to_string).collect();
    if found.len() < 2 {
        return Err(DataError::TooFewClasses(found.len()));
    }
    if let Some((class, rows)) = counts.iter().find(|(_, rows)| **rows < 2) {
        return Err(DataError::ClassTooSmall { class: (*class).to_owned(), rows: *rows });
    }
    let classes = classes.unwrap_or_else(|| ordered(found));
    // Checks the class names of folders and of Parquet files. Rows with other invalid labels were already rejected.
    if let Some(class) = classes.iter().find(|class| text::check(class).is_err()) {
        return Err(DataError::HiddenClass(text::escaped(class)));
    }
    let numbers: HashMap<&str, u32> =
        classes.iter().zip(0..).map(|(class, number)| (class.as_str(), number)).collect();
    let number = |rows: Vec<LabeledRow>| -> Vec<Row> {
        let label = |class: &str| numbers.get(class).copied().unwrap_or(0);
        rows.into_iter().map(|row| Row { label: label(&row.class), sample: row.sample }).collect()
    };
    let (train, test) = match test {
        Some(test) => (number(train), number(test)),
        None => split::stratified_tenth(number(train)),
    };
    let info = DatasetInfo {
        name: name.to_owned(),
        sample: shape,
        train_rows: train.len() as u64,
        test_rows: test.len() as u64,
        source: "uploaded".to_owned(),
        licence: "not stated".to_owned(),
        classes,
    };
    Ok((Dataset { info, train, test }, understood, bad))
}

/// Sorts numbers by value and names alphabetically.
fn ordered(mut classes: Vec<String>) -> Vec<String> {
    let number = |class: &String| class.parse::<f64>().ok().filter(|number| number.is_finite());
    classes.sort();
    if classes.iter().all(|class| number(class).is_some()) {
        classes.sort_by(|a, b| {
            number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default())
        });
    }
    classes
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
