//! Dataset files that people upload, read in the same way as by `POST /datasets`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, panic};

use data::{Dataset, ImportFile, ReadLimits, Sample, read_file};
use protocol::dataset::SampleShape;
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;

/// Far below the memory limit of the fuzzer, so that memory that is not counted exceeds it.
const LIMITS: ReadLimits = ReadLimits { disk: 64 << 20, memory: 256 << 20 };

/// Folder for the files of this process. The caller that sets `TMPDIR` cleans it up.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

/// Reads bytes as a file.
pub fn read(bytes: &[u8]) {
    let path = FOLDER.path().join("added");
    fs::write(&path, bytes).expect("the file can be written");
    read_path(&path);
}

/// Folder in which a target can create a dataset of several files.
pub fn folder() -> PathBuf {
    FOLDER.path().join("folder")
}

/// Ignores panics in these crates, because the readers turn them into errors. A panic that is not
/// caught still stops the target.
pub fn expect_panics_of(crates: &'static [&str]) {
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let from = |name: &&str| {
            panic.location().is_some_and(|location| location.file().contains(&format!("/{name}-")))
        };
        if !crates.iter().any(from) {
            default_hook(panic);
        }
    }));
}

/// Reads a file or a folder, and checks that the rows match the description.
pub fn read_path(path: &Path) {
    let files = [ImportFile { path: path.to_owned(), role: FileRole::Data }];
    let read = read_file("fuzz", &files, &ImportOptions::default(), LIMITS, &mut |_| {});
    let Ok((dataset, report)) = read else { return };
    assert_eq!(report.info, dataset.info);
    assert!(report.problems.len() <= 20 && report.problems.len() as u64 <= report.bad_rows);
    check(&dataset);
}

fn check(dataset: &Dataset) {
    let info = &dataset.info;
    assert_eq!(
        (info.train_rows, info.test_rows),
        (dataset.train.len() as u64, dataset.test.len() as u64)
    );
    for row in dataset.train.iter().chain(&dataset.test) {
        assert!((row.label as usize) < info.classes.len());
        match (&row.sample, info.sample) {
            (Sample::Text(text), SampleShape::Text) => assert!(!text.is_empty()),
            (Sample::Image(pixels), SampleShape::Image { channels, height, width }) => {
                assert_eq!(
                    pixels.len() as u64,
                    u64::from(channels) * u64::from(height) * u64::from(width)
                );
            }
            (sample, shape) => panic!("{sample:?} in a dataset of {shape:?}"),
        }
    }
}
