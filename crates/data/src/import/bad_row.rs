//! Rows that cannot be used.

/// Row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    pub file: String,
    /// Line at which the row begins in text files, row number elsewhere. From 1.
    pub line: u64,
    /// Reason why the row can't be used.
    pub reason: String,
    /// Instruction for mending the row.
    pub change: String,
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} line {}: {}; {}", self.file, self.line, self.reason, self.change)
    }
}
