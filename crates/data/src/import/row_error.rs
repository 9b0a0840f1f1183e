//! Problem of one row.

/// Problem of a row, and what to change.
#[derive(Debug)]
pub(super) struct RowError(pub String, pub &'static str);
