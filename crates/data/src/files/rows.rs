//! Rows as the readers return them, with the rows that they skipped.

use std::path::Path;

use protocol::dataset::SampleShape;

use super::bad_row::BadRow;
use crate::{DataError, Sample};

/// Problem of a row, and what to change.
#[derive(Debug)]
pub(crate) struct RowError(pub String, pub &'static str);

/// Row before its class has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabeledRow {
    pub class: String,
    pub sample: Sample,
}

/// Content of a file.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub shape: SampleShape,
    pub train: Vec<LabeledRow>,
    /// The file's own test split, if it has one.
    pub test: Option<Vec<LabeledRow>>,
    /// Names and order of the classes, if the file states them.
    pub classes: Option<Vec<String>>,
    pub understood: String,
    pub bad: Bad,
}

/// Skipped rows.
#[derive(Debug, Default)]
pub(crate) struct Bad {
    pub count: u64,
    pub first: Vec<BadRow>,
}

impl Bad {
    const KEPT: usize = 20;
    /// Longest reason in characters. A reason may quote the file.
    const LONGEST_REASON: usize = 300;

    pub(crate) fn push(&mut self, file: &str, line: u64, reason: impl Into<String>, change: &str) {
        self.count += 1;
        if self.first.len() < Self::KEPT {
            let reason = reason.into().chars().take(Self::LONGEST_REASON).collect();
            let (file, change) = (file.to_owned(), change.to_owned());
            self.first.push(BadRow { file, line, reason, change });
        }
    }

    /// Returns the error for a file with so many bad rows that it was probably misinterpreted.
    pub(crate) fn too_many(self, file: &Path, good: u64) -> DataError {
        let (file, rows) = (file.display().to_string(), good + self.count);
        DataError::TooManyBadRows { file, bad: self.count, rows, first: self.first }
    }
}
