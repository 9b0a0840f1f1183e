//! Tables of strings, which every reader of a table returns.

use super::rows::Bad;

/// All records of one file. Each has one cell per column.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub header: Option<Vec<String>>,
    pub records: Vec<Record>,
    pub bad: Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Line where the record starts, or its row, from 1.
    pub line: u64,
    /// Cell values. A missing value is empty.
    pub cells: Vec<String>,
}
