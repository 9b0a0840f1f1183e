//! Workbooks of Excel (`.xlsx`), read cell by cell.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use calamine::{DataRef, Reader as _, Xlsx, open_workbook};
use zip::ZipArchive;

use super::visit::Visit;
use crate::import::limits::check_columns;
use crate::import::rows::Bad;

/// Most bytes to which a workbook may unpack. The library holds all texts of a workbook in memory.
const MOST_BYTES: u64 = 512 << 20;

/// How a sheet is read.
#[derive(Debug, Clone)]
pub(super) struct Workbook {
    pub sheet: String,
    /// Row of the header, from 1.
    pub header_row: Option<u64>,
    pub width: usize,
}

/// Returns the sheets that have cells.
pub(super) fn sheets(path: &Path) -> Result<Vec<String>, String> {
    let mut book = open(path)?;
    let mut found = Vec::new();
    for name in book.sheet_names() {
        let Ok(mut cells) = book.worksheet_cells_reader(&name) else { continue };
        let mut cells = std::iter::from_fn(|| cells.next_cell().ok().flatten());
        if cells.any(|cell| !text(cell.get_value()).is_empty()) {
            found.push(name);
        }
    }
    Ok(found)
}

impl Workbook {
    /// Calls `visit` with every row after the header that has a value.
    pub(super) fn visit(
        &self,
        path: &Path,
        _name: &str,
        _bad: &mut Bad,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let mut book = open(path)?;
        let damaged =
            |error: &dyn ToString| format!("is a damaged workbook ({})", error.to_string());
        let mut reader =
            book.worksheet_cells_reader(&self.sheet).map_err(|error| damaged(&error))?;
        let (mut row, mut cells) = (0_u64, Vec::<String>::new());
        let mut emit = |row: u64, cells: &mut Vec<String>| -> Result<(), String> {
            let is_header = self.header_row.is_some_and(|header| row <= header);
            if row > 0 && !is_header && cells.iter().any(|cell| !cell.is_empty()) {
                cells.resize(self.width.max(cells.len()), String::new());
                let cells: Vec<Cow<'_, str>> =
                    cells.iter().map(|cell| Cow::Borrowed(cell.as_str())).collect();
                visit(row, &cells)?;
            }
            cells.clear();
            Ok(())
        };
        while let Some(cell) = reader.next_cell().map_err(|error| damaged(&error))? {
            let (at, column) = cell.get_position();
            let (at, column) = (u64::from(at) + 1, column as usize);
            if at != row {
                emit(row, &mut cells)?;
                row = at;
            }
            check_columns(column + 1)?;
            let text = text(cell.get_value());
            if !text.is_empty() {
                if cells.len() <= column {
                    cells.resize(column + 1, String::new());
                }
                cells[column] = text;
            }
        }
        emit(row, &mut cells)
    }
}

fn open(path: &Path) -> Result<Xlsx<BufReader<File>>, String> {
    check_size(path, MOST_BYTES)?;
    open_workbook(path)
        .map_err(|error: calamine::XlsxError| format!("is a damaged workbook ({error})"))
}

/// Refuses a workbook that unpacks to more than `most` bytes, by its actual bytes.
fn check_size(path: &Path, most: u64) -> Result<(), String> {
    let damaged = |error: &dyn ToString| format!("is a damaged workbook ({})", error.to_string());
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(&error))?;
    let mut left = most;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| damaged(&error))?;
        let read = io::copy(&mut entry.take(left + 1), &mut io::sink());
        let read = read.map_err(|error| damaged(&error))?;
        left = left.checked_sub(read).ok_or_else(|| {
            format!("unpacks to more than {} MiB; save the sheet as CSV", most >> 20)
        })?;
    }
    Ok(())
}

fn text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(it) => it.to_string(),
        DataRef::DateTime(date) => date.as_f64().to_string(),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn a_workbook_is_bounded_by_its_actual_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.xlsx");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        writer.start_file("xl/sharedStrings.xml", SimpleFileOptions::default()).unwrap();
        writer.write_all(&vec![b' '; 1 << 20]).unwrap();
        writer.finish().unwrap();
        assert!(path.metadata().unwrap().len() < 10_000);
        check_size(&path, 1 << 20).unwrap();
        assert!(check_size(&path, (1 << 20) - 1).unwrap_err().contains("unpacks to more"));
    }
}
