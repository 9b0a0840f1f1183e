//! Opening of a file: format, encoding, header, and a first pass that describes the columns.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use encoding_rs::Encoding;
use protocol::dataset::import::{ImportOptions, OpenQuestion};

use super::delimited::{Delimited, Record};
use super::header::{self, Header};
use super::json::Json;
use super::names::{MissingValues, normal};
use super::parquet::ParquetTable;
use super::plain_text::PlainText;
use super::profile::Profile;
use super::source::{Reader, Table};
use super::workbook::{self, Workbook};
use super::{dialect, encoding, json_document, questions};
use crate::DataError;
use crate::import::import_file::TableFile;
use crate::import::kind::Kind;
use crate::import::limits::{Memory, check_columns};
use crate::import::rows::Bad;

/// Options of an import with what every file needs of them.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    pub options: &'a ImportOptions,
    pub missing: MissingValues,
}

/// Opens a file. `first` is the first file of the import, whose header the file may repeat.
pub(super) fn open(
    file: &TableFile,
    first: Option<&Table>,
    settings: &Settings<'_>,
    memory: &mut Memory,
    questions: &mut Vec<OpenQuestion>,
) -> Result<Table, DataError> {
    let refused = |reason: String| DataError::File { file: file.name.clone(), reason };
    let mut table = Table {
        file: file.clone(),
        reader: Reader::Workbook(Workbook { sheet: String::new(), header_row: None, width: 0 }),
        names: Vec::new(),
        named: true,
        profiles: Vec::new(),
        records: 0,
        bad: Bad::default(),
        warnings: Vec::new(),
    };
    match Kind::detect(&file.path)? {
        Kind::Parquet => {
            let reader = ParquetTable::open(&file.path)?;
            let options = settings.options;
            let stated: Vec<String> = match (&options.text, &options.label) {
                (Some(text), Some(label)) => {
                    text.iter().chain([label]).chain(&options.key).cloned().collect()
                }
                (_, _) => Vec::new(),
            };
            table.profiles = reader.profiles(&file.path, &stated, &settings.missing, memory)?;
            table.names.clone_from(&reader.names);
            table.records = reader.rows;
            table.reader = Reader::Parquet(reader);
            return Ok(table);
        }
        Kind::Workbook => open_workbook(&mut table, first, settings, questions).map_err(refused)?,
        Kind::JsonLines | Kind::Delimited => {
            open_text(&mut table, first, settings, memory, questions).map_err(refused)?;
        }
        Kind::Gzip | Kind::Zip => {
            return Err(refused("is packed twice; unpack it once".to_owned()));
        }
        Kind::Unreadable(reason) => return Err(refused(reason.to_owned())),
    }
    if !matches!(table.reader, Reader::Json(_)) {
        describe(&mut table, settings, memory).map_err(refused)?;
    }
    if table.bad.open_quotes > 0 {
        let (count, line) = (table.bad.open_quotes, table.bad.first_open_quote.unwrap_or(0));
        let name = &file.name;
        table.warnings.push(format!(
            "{count} value(s) of {name} start with a quote that nothing closes, the first in line {line}. The quote \
             is read as a letter"
        ));
    }
    Ok(table)
}

fn open_text(
    table: &mut Table,
    first: Option<&Table>,
    settings: &Settings<'_>,
    memory: &mut Memory,
    questions: &mut Vec<OpenQuestion>,
) -> Result<(), String> {
    let path = table.file.path.clone();
    let options = settings.options;
    let encoding = if let Some(name) = &options.encoding {
        encoding::named(name)?
    } else {
        let detected = encoding::detect(&path)?;
        if detected.guessed {
            let (name, encoding) = (&table.file.name, detected.encoding.name());
            table.warnings.push(format!(
                "{name} is not UTF-8. It is read as {encoding}; --encoding changes that"
            ));
        }
        detected.encoding
    };
    if looks_like_json(&path, encoding)? {
        return open_json(table, encoding, settings, memory);
    }
    if let Some(mut reader) = dialect::detect(&path, encoding, options, &table.file.name)? {
        find_header(table, &mut reader, first, settings, questions)?;
        table.reader = Reader::Delimited(reader);
    } else {
        let reader = PlainText::detect(&path, encoding)?;
        table.names = reader.names();
        table.reader = Reader::Text(reader);
    }
    Ok(())
}

fn looks_like_json(path: &Path, encoding: &'static Encoding) -> Result<bool, String> {
    let mut source = encoding::open(path, encoding)?;
    let start = source.fill_buf().map_err(|error| error.to_string())?;
    let mut start = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    Ok(matches!(
        (start.next(), start.next()),
        (Some(b'{'), Some(b'"' | b'}') | None) | (Some(b'['), Some(b'{' | b'[' | b']'))
    ))
}

fn open_json(
    table: &mut Table,
    encoding: &'static Encoding,
    settings: &Settings<'_>,
    memory: &mut Memory,
) -> Result<(), String> {
    let path = table.file.path.clone();
    let mut reader = Json::detect(&path, encoding)?;
    let name = table.file.name.clone();
    profile_json(table, &mut reader, &path, &name, settings, memory)?;
    if table.records <= 1
        && let Some(rows) = json_document::rows(&path, encoding, settings.options, memory)?
        && rows.len() > 1
    {
        reader.document = Some(rows);
        table.bad = Bad::default();
        profile_json(table, &mut reader, &path, &name, settings, memory)?;
    }
    table.reader = Reader::Json(reader);
    Ok(())
}

fn profile_json(
    table: &mut Table,
    reader: &mut Json,
    path: &Path,
    name: &str,
    settings: &Settings<'_>,
    memory: &mut Memory,
) -> Result<(), String> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let (mut profiles, mut records) = (Vec::<Profile>::new(), 0);
    reader.visit_objects(path, name, &mut table.bad, &mut |_, pairs| {
        for (key, text) in pairs {
            let next = profiles.len();
            let place = *places.entry(key.clone()).or_insert(next);
            if place == next {
                check_columns(next + 1)?;
                profiles.push(Profile::new(next));
            }
            profiles[place].add(text, &settings.missing, memory)?;
        }
        records += 1;
        Ok(())
    })?;
    for profile in &mut profiles {
        profile.missing = records - profile.present.min(records);
    }
    let mut names: Vec<(String, usize)> = places.into_iter().collect();
    names.sort_by_key(|(_, place)| *place);
    table.names = names.into_iter().map(|(name, _)| name).collect();
    reader.columns.clone_from(&table.names);
    (table.profiles, table.records) = (profiles, records);
    Ok(())
}

/// Finds the header of a delimited text among its first records.
fn find_header(
    table: &mut Table,
    reader: &mut Delimited,
    first: Option<&Table>,
    settings: &Settings<'_>,
    questions: &mut Vec<OpenQuestion>,
) -> Result<(), String> {
    let mut records = reader.records(&table.file.path)?;
    let mut record = Record::default();
    let mut sample: Vec<(u64, Vec<String>)> = Vec::new();
    while sample.len() <= header::ROWS && records.next(&mut record)? {
        check_columns(record.ends.len())?;
        if let Some(cells) = record.cells() {
            sample.push((record.line, cells.into_iter().map(Cow::into_owned).collect()));
        }
    }
    let width = reader.width;
    let Some(at) = sample.iter().position(|(_, cells)| cells.len() == width) else { return Ok(()) };
    let rest: Vec<Vec<String>> = sample[at + 1..]
        .iter()
        .map(|(_, cells)| cells.clone())
        .filter(|row| row.len() == width)
        .collect();
    let (line, mut cells) = sample[at].clone();
    // Some programs write no name above the column of the row names.
    if at == 1
        && sample[0].1.len() > 1
        && sample[0].1.len() + 1 == width
        && settings.options.header != Some(false)
    {
        let mut shifted = sample[0].1.clone();
        // Others end each row with a separator, but not the header.
        let ends_empty =
            sample[1..].iter().all(|(_, row)| row.last().is_some_and(String::is_empty));
        shifted.insert(if ends_empty { shifted.len() } else { 0 }, String::new());
        if has_header(
            &shifted,
            &sample[1..].iter().map(|(_, row)| row.clone()).collect::<Vec<_>>(),
            first,
            settings,
        ) == Header::Yes
        {
            reader.header_line = Some(sample[0].0);
            table.names = named(&shifted);
            return Ok(());
        }
    }
    if at > 0 {
        let (names, first_row) = (sample[0].1.len(), &sample[0].1);
        let looks_named = first_row.iter().filter(|cell| super::names::is_known(cell)).count() > 1;
        if looks_named {
            return Err(format!("its header has {names} columns, but the rows have {width}"));
        }
    }
    let header = match settings.options.header {
        Some(true) => Header::Yes,
        Some(false) => Header::No,
        None => has_header(&cells, &rest, first, settings),
    };
    if header == Header::Open {
        questions.push(questions::header());
    }
    if header == Header::No {
        table.named = false;
        table.names = (1..=width).map(|number| number.to_string()).collect();
        return Ok(());
    }
    if at > 0 {
        let name = &table.file.name;
        table
            .warnings
            .push(format!("the lines of {name} before the header in line {line} are left out"));
    }
    reader.header_line = Some(line);
    for cell in &mut cells {
        *cell = cell.trim().to_owned();
    }
    table.names = named(&cells);
    Ok(())
}

fn has_header(
    cells: &[String],
    rest: &[Vec<String>],
    first: Option<&Table>,
    settings: &Settings<'_>,
) -> Header {
    let has = |name: &String| cells.iter().any(|cell| normal(cell) == normal(name));
    if let Some(first) = first {
        let named = first.named && first.names.iter().filter(|name| has(name)).count() > 1;
        let same = first.named && first.names.iter().all(has);
        return if named || same { Header::Yes } else { Header::No };
    }
    let options = settings.options;
    let stated = options.text.iter().flatten().chain(&options.label).chain(&options.key);
    let mut stated = stated.filter(|name| name.trim().parse::<u32>().is_err()).peekable();
    if stated.peek().is_some() && stated.all(has) {
        return Header::Yes;
    }
    let cells: Vec<Cow<'_, str>> = cells.iter().map(|cell| Cow::Borrowed(cell.as_str())).collect();
    header::detect(&cells, rest)
}

/// Returns the names of the columns. An empty name becomes the column's number, a repeated one gets a number.
fn named(cells: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(cells.len());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (at, cell) in cells.iter().enumerate() {
        let name = if cell.is_empty() { (at + 1).to_string() } else { cell.clone() };
        let count = seen.entry(name.clone()).or_insert(0);
        *count += 1;
        names.push(if *count > 1 { format!("{name}.{count}") } else { name });
    }
    names
}

fn open_workbook(
    table: &mut Table,
    first: Option<&Table>,
    settings: &Settings<'_>,
    questions: &mut Vec<OpenQuestion>,
) -> Result<(), String> {
    let sheets = workbook::sheets(&table.file.path)?;
    let sheet = match (&settings.options.sheet, sheets.as_slice()) {
        (Some(name), sheets) => {
            sheets.iter().find(|sheet| *sheet == name).cloned().ok_or_else(|| {
                format!("has no sheet `{name}` with values; its sheets are {}", sheets.join(", "))
            })?
        }
        (None, []) => return Err("has no sheet with values".to_owned()),
        (None, [one]) => one.clone(),
        (None, [one, ..]) => {
            questions.push(questions::sheet(sheets.clone()));
            one.clone()
        }
    };
    let mut reader = Workbook { sheet, header_row: None, width: 0 };
    let mut sample: Vec<(u64, Vec<String>)> = Vec::new();
    let mut widest = 0;
    let name = table.file.name.clone();
    reader.visit(&table.file.path, &name, &mut table.bad, &mut |row, cells| {
        widest = widest.max(cells.len());
        if sample.len() <= header::ROWS {
            sample.push((row, cells.iter().map(|cell| cell.clone().into_owned()).collect()));
        }
        Ok(())
    })?;
    reader.width = widest;
    for (_, row) in &mut sample {
        row.resize(widest, String::new());
    }
    if let Some(((row, cells), rest)) = sample.split_first() {
        let rest: Vec<Vec<String>> = rest.iter().map(|(_, row)| row.clone()).collect();
        let header = match settings.options.header {
            Some(true) => Header::Yes,
            Some(false) => Header::No,
            None => has_header(cells, &rest, first, settings),
        };
        if header == Header::Open {
            questions.push(questions::header());
        }
        table.named = header != Header::No;
        if table.named {
            reader.header_row = Some(*row);
            table.names = named(cells);
        } else {
            table.names = (1..=widest).map(|number| number.to_string()).collect();
        }
    }
    table.reader = Reader::Workbook(reader);
    Ok(())
}

/// Describes the columns in a pass over the file.
fn describe(table: &mut Table, settings: &Settings<'_>, memory: &mut Memory) -> Result<(), String> {
    let width = table.names.len();
    let mut profiles = vec![Profile::new(width); width];
    let (mut records, mut bad) = (0, Bad::default());
    let wanted: Vec<usize> = (0..width).collect();
    table.visit(&wanted, &mut bad, memory.clone(), &mut |_, cells| {
        for (profile, cell) in profiles.iter_mut().zip(cells) {
            profile.add(cell, &settings.missing, memory)?;
        }
        records += 1;
        Ok(())
    })?;
    (table.profiles, table.records, table.bad) = (profiles, records, bad);
    Ok(())
}
