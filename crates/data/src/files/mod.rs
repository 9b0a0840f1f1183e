//! Rows from the files that people have.

use protocol::dataset::DatasetInfo;

/// What became of a file that was added.
#[derive(Debug, Clone, PartialEq)]
pub struct AddReport {
    pub info: DatasetInfo,
    /// How the columns were understood, in words.
    pub understood: String,
    /// Rows that were left out.
    pub bad_rows: u64,
    /// The first 20 of them.
    pub problems: Vec<BadRow>,
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    pub file: String,
    /// From 1; for Parquet the row, for text files the line where the row begins.
    pub line: u64,
    pub reason: String,
}
