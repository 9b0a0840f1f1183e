//! Parquet files of people: tables of plain values, or a column of encoded images.

use std::path::Path;

use super::images::Pictures;
use super::table::{Record, Table};
use super::{Gathered, meaning, name_of};
use crate::columns::{Cell, Columns};
use crate::{DataError, LoadProgress};

/// Every column of plain values, as strings.
pub fn read(path: &Path) -> Result<Table, DataError> {
    let file = Columns::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let mut table = Table::default();
    for (at, name) in names.iter().enumerate() {
        let mut row = 0;
        file.read(name, |cell| {
            if at == 0 {
                let line = row as u64 + 1;
                table.records.push(Record { line, cells: Vec::with_capacity(names.len()) });
            }
            if let Some(record) = table.records.get_mut(row) {
                record.cells.push(string(cell));
            }
            row += 1;
            Ok(())
        })?;
    }
    table.header = Some(names);
    Ok(table)
}

/// The class names that the file states for its label column.
pub fn class_names(path: &Path, label: &str) -> Result<Option<Vec<String>>, DataError> {
    Ok(Columns::open(path)?.class_names(label))
}

/// Rows of a file with a column of encoded images, or `None` where there is none.
pub fn gather_images(
    path: &Path,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Option<Gathered>, DataError> {
    let file = Columns::open(path)?;
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let known = ["image.bytes", "img.bytes", "image", "img", "picture.bytes", "picture"];
    let Some(image) = known.into_iter().find(|known| names.iter().any(|name| name == known)) else {
        return Ok(None);
    };
    let Some(label) = meaning::label_by_name(&names) else {
        let reason = format!("has images in `{image}` but no column named label or class");
        return Err(DataError::file(path, reason));
    };
    let classes = file.class_names(&names[label]);
    let mut labels = Vec::new();
    file.read(&names[label], |cell| {
        let text = string(cell);
        let known = |classes: &Vec<String>| classes.get(text.parse::<usize>().ok()?).cloned();
        labels.push(classes.as_ref().and_then(known).unwrap_or(text));
        Ok(())
    })?;
    let mut pictures = Pictures::default();
    let (file_name, mut row) = (name_of(path), 0);
    file.read(image, |cell| {
        let class = labels.get(row).map_or("", String::as_str);
        row += 1;
        match cell {
            Cell::Bytes(bytes) => pictures.add(&file_name, row as u64, class, false, bytes),
            Cell::Null | Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) => {
                pictures.bad.push(&file_name, row as u64, "it has no image");
            }
        }
        if row % 1000 == 0 {
            progress(LoadProgress::Reading { rows: row as u64 });
        }
        Ok(())
    })?;
    let understood = format!("images in `{image}`, classes in `{}`", names[label]);
    pictures.gathered(path, classes, &understood).map(Some)
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
