//! Rows of a published dataset from its Parquet files.

use std::path::{Path, PathBuf};

use protocol::dataset::{DatasetInfo, SampleShape};

use crate::catalog::{Published, PublishedColumns};
use crate::columns::{Cell, Columns};
use crate::{DataError, Dataset, LoadProgress, Row, Sample, image_decode};

const LABEL: &str = "label";
/// Rows between two progress reports.
const REPORT: usize = 10_000;

/// Files of both splits on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub train: Vec<PathBuf>,
    pub test: Vec<PathBuf>,
}

impl Published {
    /// Reads all rows in the order of the files.
    pub fn read(
        &self,
        files: &Files,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Dataset, DataError> {
        let mut info = self.info(files)?;
        let classes = u32::try_from(info.classes.len()).unwrap_or(u32::MAX);
        let mut splits = [Vec::new(), Vec::new()];
        let mut before = 0;
        for (split, files) in splits.iter_mut().zip([&files.train, &files.test]) {
            for file in files {
                let mut report = |rows: usize| {
                    progress(LoadProgress::Reading { rows: (before + rows) as u64 });
                };
                let rows = self.rows(file, info.sample, classes, &mut report)?;
                before += rows.len();
                split.extend(rows);
            }
        }
        progress(LoadProgress::Reading { rows: before as u64 });
        let [train, test] = splits;
        (info.train_rows, info.test_rows) = (train.len() as u64, test.len() as u64);
        Ok(Dataset { info, train, validation: Vec::new(), test })
    }

    /// Reads the metadata in the files, without reading rows.
    pub fn info(&self, files: &Files) -> Result<DatasetInfo, DataError> {
        let count = |files: &[PathBuf]| -> Result<u64, DataError> {
            files.iter().map(|file| Ok(Columns::open(file)?.rows())).sum()
        };
        let named = match files.train.first() {
            Some(file) => Columns::open(file)?.class_names(LABEL),
            None => None,
        };
        Ok(DatasetInfo {
            name: self.name.to_owned(),
            sample: self.sample,
            classes: named
                .filter(|names| names.len() == self.classes.len())
                .unwrap_or_else(|| self.classes.iter().map(ToString::to_string).collect()),
            train_rows: count(&files.train)?,
            validation_rows: 0,
            test_rows: count(&files.test)?,
            version: 1,
            source: self.repository.to_owned(),
            licence: self.licence.to_owned(),
        })
    }

    fn rows(
        &self,
        path: &Path,
        shape: SampleShape,
        classes: u32,
        report: &mut dyn FnMut(usize),
    ) -> Result<Vec<Row>, DataError> {
        let file = Columns::open(path)?;
        let broken = |row: usize, reason: String| DataError::Row {
            file: path.display().to_string(),
            line: row as u64 + 1,
            reason,
        };
        let mut labels = Vec::new();
        file.read(LABEL, |cell| {
            let label = match cell {
                Cell::Integer(label) => u32::try_from(label).ok().filter(|label| *label < classes),
                Cell::Null
                | Cell::Boolean(_)
                | Cell::Unsigned(_)
                | Cell::Decimal(..)
                | Cell::Real(_)
                | Cell::Bytes(_) => None,
            };
            let reason = || match cell {
                Cell::Integer(label) => {
                    format!("its label {label} is not a class number from 0 to {}", classes - 1)
                }
                Cell::Null
                | Cell::Boolean(_)
                | Cell::Unsigned(_)
                | Cell::Decimal(..)
                | Cell::Real(_)
                | Cell::Bytes(_) => "its label is not a whole number".to_owned(),
            };
            labels.push(label.ok_or_else(|| broken(labels.len(), reason()))?);
            Ok(())
        })?;
        let samples = match self.columns {
            PublishedColumns::Texts(columns) => texts(&file, columns, &broken, report)?,
            PublishedColumns::Image(column) => images(&file, column, shape, &broken, report)?,
        };
        if samples.len() != labels.len() {
            return Err(DataError::file(path, "has columns of different lengths"));
        }
        let rows = labels.into_iter().zip(samples);
        Ok(rows.map(|(label, sample)| Row { label, sample }).collect())
    }
}

type Broken<'a> = &'a dyn Fn(usize, String) -> DataError;

fn texts(
    file: &Columns,
    columns: &[&str],
    broken: Broken<'_>,
    report: &mut dyn FnMut(usize),
) -> Result<Vec<Sample>, DataError> {
    let mut texts: Vec<String> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let mut row = 0;
        file.read(column, |cell| {
            let text = match cell {
                Cell::Bytes(bytes) => std::str::from_utf8(bytes)
                    .map_err(|_| broken(row, format!("its `{column}` is not UTF-8")))?,
                Cell::Null => "",
                Cell::Boolean(_)
                | Cell::Integer(_)
                | Cell::Unsigned(_)
                | Cell::Decimal(..)
                | Cell::Real(_) => {
                    return Err(broken(row, format!("its `{column}` is not text")));
                }
            };
            match texts.get_mut(row) {
                Some(before) if index > 0 => {
                    before.push(' ');
                    before.push_str(text);
                }
                Some(_) | None => texts.push(text.to_owned()),
            }
            row += 1;
            if row % REPORT == 0 && index == 0 {
                report(row);
            }
            Ok(())
        })?;
    }
    Ok(texts.into_iter().map(Sample::Text).collect())
}

fn images(
    file: &Columns,
    column: &str,
    shape: SampleShape,
    broken: Broken<'_>,
    report: &mut dyn FnMut(usize),
) -> Result<Vec<Sample>, DataError> {
    let mut images = Vec::new();
    file.read(column, |cell| {
        let bytes = match cell {
            Cell::Bytes(bytes) => bytes,
            Cell::Null
            | Cell::Boolean(_)
            | Cell::Integer(_)
            | Cell::Unsigned(_)
            | Cell::Decimal(..)
            | Cell::Real(_) => {
                return Err(broken(images.len(), "it has no image".to_owned()));
            }
        };
        let image = image_decode::decode(bytes)
            .map_err(|reason| broken(images.len(), format!("its image {reason}")))?;
        let SampleShape::Image { channels, height, width } = shape else {
            return Err(broken(images.len(), "the dataset has texts, not images".to_owned()));
        };
        if (image.channels, image.height, image.width) != (channels, height, width) {
            let found = format!("{}×{}×{}", image.channels, image.height, image.width);
            let reason = format!(
                "its image is {found}, but the dataset has {channels}×{height}×{width} (channels × \
                 height × width)"
            );
            return Err(broken(images.len(), reason));
        }
        images.push(Sample::Image(image.pixels));
        if images.len() % REPORT == 0 {
            report(images.len());
        }
        Ok(())
    })?;
    Ok(images)
}
