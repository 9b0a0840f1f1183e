//! Files that people add as datasets, read as `POST /datasets` reads them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, panic};

use data::{ReadLimits, Dataset, Sample, read_file};
use protocol::dataset::SampleShape;
use tempfile::TempDir;

/// Far below what an input may take here, so that what isn't counted is noticed.
const BOUNDS: ReadLimits = ReadLimits { disk: 64 << 20, memory: 256 << 20 };

/// Where files of this process lie; whoever sets `TMPDIR` clears up.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

/// Reads bytes as a file.
pub fn read(bytes: &[u8]) {
    let path = FOLDER.path().join("added");
    fs::write(&path, bytes).expect("the file can be written");
    read_path(&path);
}

/// Where a folder of files can be laid out.
pub fn folder() -> PathBuf {
    FOLDER.path().join("folder")
}

/// Lets panics of these crates pass: the readers turn them into errors. One that nobody catches still ends the target.
pub fn expect_panics_of(crates: &'static [&str]) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let from = |name: &&str| {
            panic.location().is_some_and(|place| place.file().contains(&format!("/{name}-")))
        };
        if !crates.iter().any(from) {
            usual(panic);
        }
    }));
}

/// Reads a file or a folder; rows that it gives must be what is said of them.
pub fn read_path(path: &Path) {
    let Ok((dataset, report)) = read_file("fuzz", path, BOUNDS, &mut |_| {}) else { return };
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
