//! People's Parquet files: tables of plain values.

use std::path::Path;

use super::limits::{Memory, check_columns};
use super::records::{Record, Table};
use crate::DataError;
use crate::columns::{Cell, Columns};

/// Reads every column of plain values as strings.
pub(super) fn read(path: &Path, memory: &mut Memory) -> Result<Table, DataError> {
    let file = Columns::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let refused = |reason: String| DataError::file(path, reason);
    check_columns(names.len()).map_err(refused)?;
    let mut table = Table::default();
    for (at, name) in names.iter().enumerate() {
        let mut row = 0;
        file.read(name, |cell| {
            if at == 0 {
                memory.take_row().map_err(refused)?;
                let line = row as u64 + 1;
                table.records.push(Record { line, cells: Vec::new() });
            }
            if let Some(record) = table.records.get_mut(row) {
                memory.take_cell(length(cell)).map_err(refused)?;
                record.cells.push(string(cell));
            }
            row += 1;
            Ok(())
        })?;
        if row != table.records.len() {
            return Err(refused("has columns of different lengths".to_owned()));
        }
    }
    table.header = Some(names);
    Ok(table)
}

/// Returns the class names that the file states for its label column.
pub(super) fn class_names(path: &Path, label: &str) -> Result<Option<Vec<String>>, DataError> {
    Ok(Columns::open(path)?.class_names(label))
}

/// Returns the length of a value as text, at most 24 bytes for numbers.
pub(super) fn length(cell: Cell<'_>) -> usize {
    match cell {
        Cell::Null => 0,
        Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) => 24,
        Cell::Bytes(bytes) => bytes.len(),
    }
}

pub(super) fn string(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
