//! People's Parquet files: tables of plain values, or a column of encoded images.

use std::path::Path;

use super::column_inference;
use super::images::DecodedImages;
use super::kind::name_of;
use super::limits::{Memory, Reading, check_columns};
use super::records::{Record, Table};
use super::rows::Gathered;
use crate::columns::{Cell, Columns};
use crate::{DataError, LoadProgress};

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

/// Reads a file with a column of encoded images. Returns `None` if there is none.
pub(super) fn gather_images(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<Option<Gathered>, DataError> {
    let refused = |reason: String| DataError::file(path, reason);
    let file = Columns::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let known = ["image.bytes", "img.bytes", "image", "img", "picture.bytes", "picture"];
    let Some(image) = known.into_iter().find(|known| names.iter().any(|name| name == known)) else {
        return Ok(None);
    };
    let Some(label) = column_inference::label_by_name(&names) else {
        let reason =
            format!("has images in `{image}`, but no column named `label` or `class`; add one");
        return Err(DataError::file(path, reason));
    };
    let classes = file.class_names(&names[label]);
    let mut labels = Vec::new();
    file.read(&names[label], |cell| {
        reading.memory.take_cell(length(cell)).map_err(refused)?;
        let text = string(cell);
        let known = |classes: &Vec<String>| classes.get(text.parse::<usize>().ok()?).cloned();
        labels.push(classes.as_ref().and_then(known).unwrap_or(text));
        Ok(())
    })?;
    let mut decoded = DecodedImages::default();
    let (file_name, mut row) = (name_of(path), 0);
    file.read(image, |cell| {
        let class = labels.get(row).map_or("", String::as_str);
        row += 1;
        match cell {
            Cell::Bytes(bytes) => decoded
                .add(&file_name, row as u64, class, false, bytes, &mut reading.memory)
                .map_err(refused)?,
            Cell::Null | Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) => {
                decoded.bad.push(&file_name, row as u64, "it has no image", "remove the row");
            }
        }
        if row % 1000 == 0 {
            (reading.progress)(LoadProgress::Reading { rows: row as u64 });
        }
        Ok(())
    })?;
    let understood = format!("images in `{image}`, classes in `{}`", names[label]);
    decoded.gathered(path, classes, &understood, &mut reading.memory).map(Some)
}

/// Returns the length of a value as text, at most 24 bytes for numbers.
fn length(cell: Cell<'_>) -> usize {
    match cell {
        Cell::Null => 0,
        Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) => 24,
        Cell::Bytes(bytes) => bytes.len(),
    }
}

fn string(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
