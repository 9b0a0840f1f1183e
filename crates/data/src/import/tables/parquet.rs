//! Parquet tables. Only the columns that the plan needs are decoded.

use std::borrow::Cow;
use std::path::Path;

use super::names::{LabelName, MissingValues, is_split_name, label_name, text_columns};
use super::profile::Profile;
use super::visit::Visit;
use crate::DataError;
use crate::columns::{Cell, ColumnKind, Columns};
use crate::import::limits::{Memory, check_columns};

/// Columns of a Parquet file.
#[derive(Debug, Clone)]
pub(super) struct ParquetTable {
    /// Dotted names.
    pub names: Vec<String>,
    pub rows: u64,
}

impl ParquetTable {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = Columns::open(path)?;
        let names: Vec<String> = file.all_names().map(str::to_owned).collect();
        check_columns(names.len()).map_err(|reason| DataError::file(path, reason))?;
        Ok(Self { names, rows: file.rows() })
    }

    /// Describes the columns. `stated` are the columns of the options if they state the label and the texts. If
    /// options or names state both, the other columns are not decoded.
    pub(super) fn profiles(
        &self,
        path: &Path,
        stated: &[String],
        missing: &MissingValues,
        memory: &mut Memory,
    ) -> Result<Vec<Profile>, DataError> {
        let file = Columns::open(path)?;
        let certain =
            self.names.iter().filter(|name| label_name(name) == Some(LabelName::Certain)).cloned();
        let texts: Vec<String> =
            text_columns(&self.names).into_iter().map(|at| self.names[at].clone()).collect();
        let mut enough: Vec<String> = stated.to_vec();
        if stated.is_empty() && !texts.is_empty() {
            enough.extend(certain.take(1));
            if !enough.is_empty() {
                enough.extend(texts);
            }
        }
        if !enough.is_empty() {
            enough.extend(self.names.iter().filter(|name| is_split_name(name)).cloned());
        }
        let mut profiles = Vec::with_capacity(self.names.len());
        let mut failed = None;
        for name in &self.names {
            profiles.push(match file.kind(name) {
                ColumnKind::Unreadable(kind) => Profile::unreadable(&kind),
                ColumnKind::Readable if !enough.is_empty() && !enough.contains(name) => {
                    Profile::unreadable("not decoded, because nothing needs it")
                }
                ColumnKind::Readable => {
                    let mut profile = Profile::new(self.names.len());
                    let mut is_full = false;
                    let read = file.read(name, |cell| {
                        let added = profile.add(&text(cell), missing, memory);
                        is_full = added.is_err();
                        added.map_err(|reason| DataError::file(path, reason))
                    });
                    match read {
                        Ok(()) => profile,
                        Err(error) if is_full || enough.contains(name) => return Err(error),
                        Err(error) => {
                            let profile = Profile::unreadable(&error.to_string());
                            failed = failed.or(Some(error));
                            profile
                        }
                    }
                }
            });
        }
        match failed {
            // Without another column of texts, the damage is the reason for a refusal.
            Some(error) if profiles.iter().all(|it| it.present == 0 || it.is_numeric()) => {
                Err(error)
            }
            Some(_) | None => Ok(profiles),
        }
    }

    /// Calls `visit` with every row's cells of the wanted columns. All of these cells are in memory at once, so
    /// they count against `memory`: a dictionary turns a small file into any number of long texts.
    pub(super) fn visit(
        &self,
        path: &Path,
        wanted: &[usize],
        mut memory: Memory,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let file = Columns::open(path).map_err(|error| error.to_string())?;
        let mut columns: Vec<Vec<String>> = Vec::with_capacity(wanted.len());
        for at in wanted {
            let mut cells = Vec::new();
            let read = file.read(&self.names[*at], |cell| {
                let cell = text(cell);
                let taken = memory.take_cell(cell.len());
                taken.map_err(|reason| DataError::file(path, reason))?;
                cells.push(cell.into_owned());
                Ok(())
            });
            read.map_err(|error| {
                if let DataError::File { reason, .. } = error { reason } else { error.to_string() }
            })?;
            columns.push(cells);
        }
        let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
        if columns.iter().any(|column| column.len() != rows) {
            return Err("has columns of different lengths".to_owned());
        }
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        for row in 1..=rows as u64 {
            let cells: Vec<Cow<'_, str>> = columns
                .iter_mut()
                .map(|column| Cow::Owned(column.next().unwrap_or_default()))
                .collect();
            visit(row, &cells)?;
        }
        Ok(())
    }
}

/// Returns a value as text.
pub(in crate::import) fn text(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Null => Cow::Borrowed(""),
        Cell::Boolean(value) => Cow::Owned(value.to_string()),
        Cell::Integer(value) => Cow::Owned(value.to_string()),
        Cell::Unsigned(value) => Cow::Owned(value.to_string()),
        Cell::Decimal(unscaled, scale) => Cow::Owned(decimal(unscaled, scale)),
        Cell::Real(value) => Cow::Owned(value.to_string()),
        Cell::Bytes(bytes) => String::from_utf8_lossy(bytes),
    }
}

/// Writes a decimal without trailing zeros, so that 1.00 is the class 1.
fn decimal(unscaled: i128, scale: u32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let scale = scale as usize;
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_without_trailing_zeros() {
        let cases =
            [(100, 2, "1"), (0, 2, "0"), (-5, 1, "-0.5"), (12_345, 3, "12.345"), (7, 0, "7")];
        for (unscaled, scale, expected) in cases {
            assert_eq!(decimal(unscaled, scale), expected);
        }
    }
}
