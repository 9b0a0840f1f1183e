//! Conversion of tables to rows.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::dataset::SampleShape;
use protocol::dataset::import::{ImportOptions, ImportPlan, SplitName};
use protocol::text;

use super::column_inference::{ColumnRoles, Content};
use super::import_file::TableFile;
use super::kind::Kind;
use super::limits::Reading;
use super::records::{Record, Table};
use super::row_error::RowError;
use super::rows::{Bad, Gathered, LabeledRow, SplitRows};
use super::{delimited, json_lines, parquet_table};
use crate::{DataError, LoadProgress, Sample};

/// Maximum size of a text in bytes. A longer one probably lacks a closing quote.
const LONGEST_TEXT: usize = 1 << 20;
/// Rows between two progress reports.
const REPORT: usize = 10_000;

/// Converts the tables to rows.
pub(super) fn gather(
    files: &[TableFile],
    _options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let mut tables = Vec::new();
    let mut classes = None;
    let mut seen = 0;
    for TableFile { path, name, split } in files {
        let table = match Kind::detect(path)? {
            Kind::Parquet => parquet_table::read(path, &mut reading.memory)?,
            Kind::JsonLines => json_lines::read(path, &mut reading.memory)?,
            Kind::Delimited => delimited::read(path, &mut reading.memory)?,
            Kind::Gzip | Kind::Zip => return Err(DataError::file(path, "is packed twice")),
        };
        let has_columns = table.header.as_ref().is_some_and(|header| !header.is_empty());
        if table.records.is_empty() && (table.bad.count == 0 || !has_columns) {
            if table.bad.count > 0 {
                return Err(table.bad.too_many(path, 0));
            }
            return Err(DataError::file(path, "holds no row"));
        }
        seen += table.records.len();
        (reading.progress)(LoadProgress::Reading { rows: seen as u64 });
        tables.push((name.clone(), split.unwrap_or(SplitName::Train), table));
    }
    let Some((name, _, first)) = tables.first() else {
        return Err(DataError::file(Path::new(""), "there is no file"));
    };
    let roles = ColumnRoles::infer(first)
        .map_err(|reason| DataError::File { file: name.clone(), reason })?;
    if let (Some(TableFile { path, .. }), Some(header)) = (files.first(), &first.header)
        && Kind::detect(path)? == Kind::Parquet
    {
        classes = parquet_table::class_names(path, &header[roles.label])?;
    }
    let understood = roles.description(first);
    let scale = roles.scale(tables.iter().map(|(_, _, table)| table));
    let mut bad = Bad::default();
    let mut splits: BTreeMap<SplitName, SplitRows> = BTreeMap::new();
    for (name, split, table) in tables {
        let progress = &mut *reading.progress;
        let rows = rows(&name, table, &roles, scale, classes.as_deref(), &mut bad, progress);
        let into = splits.entry(split).or_default();
        into.rows.extend(rows);
        into.source =
            if into.source.is_empty() { name } else { format!("{}, {name}", into.source) };
    }
    let plan = ImportPlan { format: "table".to_owned(), ..ImportPlan::default() };
    Ok(Gathered { shape: roles.shape(), splits, classes, plan, understood, bad })
}

fn rows(
    file: &str,
    table: Table,
    roles: &ColumnRoles,
    scale: u32,
    classes: Option<&[String]>,
    bad: &mut Bad,
    progress: &mut dyn FnMut(LoadProgress),
) -> Vec<LabeledRow> {
    bad.extend(table.bad);
    let mut rows = Vec::with_capacity(table.records.len());
    for record in table.records {
        match row(&record, roles, scale, classes) {
            Ok(row) => rows.push(row),
            Err(RowError(reason, change)) => bad.push(file, record.line, reason, change),
        }
        if rows.len() % REPORT == 0 {
            progress(LoadProgress::Reading { rows: rows.len() as u64 });
        }
    }
    rows
}

fn row(
    record: &Record,
    roles: &ColumnRoles,
    scale: u32,
    classes: Option<&[String]>,
) -> Result<LabeledRow, RowError> {
    let cell = |column: usize| record.cells.get(column).map_or("", |cell| cell.trim());
    let mut class = cell(roles.label).to_owned();
    if class.is_empty() {
        return Err(RowError("it has no label".to_owned(), "give it one, or remove the row"));
    }
    if let Err(hidden) = text::check(&class) {
        let reason = format!("its label `{}` {hidden}", text::escaped(&class));
        return Err(RowError(reason, "write a label without invisible characters"));
    }
    if let Some(classes) = classes {
        let number: Option<usize> = class.parse().ok();
        class = number.and_then(|number| classes.get(number)).cloned().ok_or_else(|| {
            let reason = format!("its label {class} is not one of {} classes", classes.len());
            RowError(reason, "write a class's number, from 0")
        })?;
    }
    let sample = match &roles.content {
        Content::Texts(columns) => {
            let texts: Vec<&str> = columns
                .iter()
                .map(|column| cell(*column))
                .filter(|text| !text.is_empty())
                .collect();
            let text = texts.join(" ");
            match text.len() {
                0 => {
                    let reason = "its text is empty".to_owned();
                    return Err(RowError(reason, "write one, or remove the row"));
                }
                length if length > LONGEST_TEXT => {
                    let reason = format!(
                        "its text has {length} bytes, more than 1 MiB; is a closing quote missing?"
                    );
                    return Err(RowError(reason, "close its quote, or shorten it"));
                }
                _ => Sample::Text(text),
            }
        }
        Content::Pixels { columns, .. } => {
            let pixel = |column: &usize| {
                let value: u32 = cell(*column).parse().map_err(|_| {
                    let reason = format!("column {} is not a pixel value", column + 1);
                    RowError(reason, "write a whole number from 0")
                })?;
                // Rounded to the nearest integer.
                let scaled = (u64::from(value) * 255 + u64::from(scale / 2)) / u64::from(scale);
                Ok::<u8, RowError>(u8::try_from(scaled).unwrap_or(u8::MAX))
            };
            Sample::Image(columns.iter().map(pixel).collect::<Result<_, _>>()?)
        }
    };
    Ok(LabeledRow { class: Some(class), key: None, sample })
}

impl ColumnRoles {
    fn shape(&self) -> SampleShape {
        match &self.content {
            Content::Texts(_) => SampleShape::Text,
            Content::Pixels { side, .. } => {
                SampleShape::Image { channels: 1, height: *side, width: *side }
            }
        }
    }

    /// Returns the maximum pixel value, which is scaled to 255.
    fn scale<'a>(&self, tables: impl Iterator<Item = &'a Table>) -> u32 {
        let Content::Pixels { columns, .. } = &self.content else { return 1 };
        let records = tables.flat_map(|table| &table.records);
        let cells =
            records.flat_map(|record| columns.iter().filter_map(|at| record.cells.get(*at)));
        cells.filter_map(|cell| cell.trim().parse().ok()).max().unwrap_or(1).max(1)
    }
}
