//! Open table: how its file is read, and its columns.

use std::borrow::Cow;

use super::delimited::Delimited;
use super::json::Json;
use super::parquet::ParquetTable;
use super::plain_text::PlainText;
use super::profile::Profile;
use super::visit::Visit;
use super::workbook::Workbook;
use crate::import::import_file::TableFile;
use crate::import::limits::Memory;
use crate::import::rows::Bad;

/// Reader of one file.
#[derive(Debug)]
pub(super) enum Reader {
    Delimited(Delimited),
    Json(Json),
    Workbook(Workbook),
    Parquet(ParquetTable),
    Text(PlainText),
}

/// File with its columns described.
#[derive(Debug)]
pub(super) struct Table {
    pub file: TableFile,
    pub reader: Reader,
    /// Name of each column. A column without a name is its number, from 1.
    pub names: Vec<String>,
    /// Whether the names are from the file.
    pub named: bool,
    pub profiles: Vec<Profile>,
    /// Number of records with the right number of columns.
    pub records: u64,
    /// Rows that no reader can use.
    pub bad: Bad,
    pub warnings: Vec<String>,
}

impl Table {
    /// Returns the column with this name, or with this number from 1.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        let same = |known: &String| known.trim() == name.trim();
        let similar = |known: &String| known.trim().eq_ignore_ascii_case(name.trim());
        let number = || name.trim().parse::<usize>().ok()?.checked_sub(1);
        let by_name = self.names.iter().position(same);
        let by_name = by_name.or_else(|| self.names.iter().position(similar));
        by_name.or_else(|| number().filter(|at| *at < self.names.len() && !self.named))
    }

    /// Returns the column's name for people.
    pub(super) fn shown(&self, at: usize) -> String {
        let name = self.names.get(at).map_or("", |name| name.trim());
        if self.named && !name.is_empty() {
            format!("`{name}`")
        } else {
            format!("column {}", at + 1)
        }
    }

    /// Calls `visit` with every record and its cells of the `wanted` columns, in their order. `memory` bounds what
    /// a reader holds during the visit.
    pub(super) fn visit(
        &self,
        wanted: &[usize],
        bad: &mut Bad,
        memory: Memory,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let name = &self.file.name;
        let path = &self.file.path;
        let mut pick = |line: u64, cells: &[Cow<'_, str>]| {
            let cell = |at: &usize| Cow::Borrowed(cells.get(*at).map_or("", AsRef::as_ref));
            let picked: Vec<Cow<'_, str>> = wanted.iter().map(cell).collect();
            visit(line, &picked)
        };
        match &self.reader {
            Reader::Delimited(reader) => reader.visit(path, name, bad, &mut pick),
            Reader::Json(reader) => reader.visit(path, name, bad, &mut pick),
            Reader::Workbook(reader) => reader.visit(path, name, bad, &mut pick),
            Reader::Text(reader) => reader.visit(path, name, bad, &mut pick),
            Reader::Parquet(reader) => reader.visit(path, wanted, memory, visit),
        }
    }
}
