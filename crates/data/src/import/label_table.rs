//! Table beside images that states their labels, such as `metadata.csv` in folders of the Hugging Face hub.

use std::collections::HashMap;
use std::fs;

use protocol::dataset::import::{ImportOptions, OpenQuestion, SplitName};

use super::limits::Reading;
use super::rows::Bad;
use super::source_files::SourceFile;
use super::split_names::split_named;
use crate::DataError;

const LARGEST: u64 = 256 << 20;
const LABELS: [&str; 9] = [
    "label",
    "class",
    "category",
    "target",
    "labels",
    "class_name",
    "label_name",
    "breed",
    "species",
];
const SPLITS: [&str; 4] = ["split", "subset", "set", "data set"];

/// Labels of images, in the order of the images.
#[derive(Debug)]
pub(super) struct LabelTable {
    /// Name of the table's file.
    pub name: String,
    /// Name of the label's column.
    pub label: String,
    pub labels: Vec<Option<StatedLabel>>,
    pub bad: Bad,
    pub questions: Vec<OpenQuestion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatedLabel {
    pub class: String,
    pub split: Option<SplitName>,
}

/// Whether the file's name says that it is a table beside images.
pub(super) fn is_named(name: &str) -> bool {
    let own = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let stem = own.split('.').next().unwrap_or(&own);
    ["metadata", "labels", "annotations"].contains(&stem) && has_table_ending(&own)
}

/// Whether the file may be a table beside images.
pub(super) fn has_table_ending(name: &str) -> bool {
    let name = name.to_lowercase();
    [".csv", ".tsv", ".jsonl"].iter().any(|ending| name.ends_with(ending))
}

impl LabelTable {
    /// Reads the tables, such as one for each split. Returns `None` if most of their rows are not about
    /// these images.
    pub(super) fn read(
        tables: &[&SourceFile],
        images: &[SourceFile],
        options: &ImportOptions,
        reading: &mut Reading<'_>,
    ) -> Result<Option<Self>, DataError> {
        let mut all: Option<Self> = None;
        for table in tables {
            let Some(rows) = Rows::read(table, reading)? else { continue };
            let Some(found) = Self::from_rows(table, &rows, images, options) else { continue };
            match &mut all {
                None => all = Some(found),
                Some(all) => {
                    all.name = format!("{}, {}", all.name, found.name);
                    all.bad.extend(found.bad);
                    for (known, new) in all.labels.iter_mut().zip(found.labels) {
                        *known = known.take().or(new);
                    }
                }
            }
        }
        Ok(all)
    }

    fn from_rows(
        table: &SourceFile,
        rows: &Rows,
        images: &[SourceFile],
        options: &ImportOptions,
    ) -> Option<Self> {
        let names = ImageNames::from_images(table, images);
        let matches = |column: &usize| {
            rows.cells.iter().filter(|(_, cells)| names.find(&cells[*column]).is_some()).count()
        };
        let counts: Vec<usize> = (0..rows.header.len().min(50)).map(|at| matches(&at)).collect();
        let file = (0..counts.len()).max_by_key(|at| (counts[*at], std::cmp::Reverse(*at)))?;
        if counts[file] == 0 || counts[file] * 2 < rows.cells.len() {
            return None;
        }
        let is = |at: usize, known: &[&str]| {
            known.contains(&rows.header[at].trim().to_lowercase().as_str())
        };
        let others: Vec<usize> = (0..rows.header.len()).filter(|at| *at != file).collect();
        let split = others.iter().copied().find(|at| {
            let known =
                |(_, cells): &(u64, Vec<String>)| split_named(&cells[*at], options).is_some();
            is(*at, &SPLITS) && rows.cells.iter().all(known)
        });
        let candidates: Vec<usize> = others.into_iter().filter(|at| Some(*at) != split).collect();
        let stated = options.label.as_ref().map(|label| {
            candidates.iter().copied().find(|at| rows.header[*at].trim() == label.trim())
        });
        let by_name = || {
            LABELS.iter().find_map(|name| candidates.iter().copied().find(|at| is(*at, &[name])))
        };
        let only = || (candidates.len() == 1).then(|| candidates[0]);
        let label = stated.unwrap_or_else(|| by_name().or_else(only));
        let mut found = Self {
            name: table.name.clone(),
            label: label.map(|at| rows.header[at].clone()).unwrap_or_default(),
            labels: vec![None; images.len()],
            bad: Bad::default(),
            questions: Vec::new(),
        };
        let Some(label) = label else {
            found.questions.push(OpenQuestion {
                question: format!("which column of {} is the label of the images?", table.name),
                option: "label".to_owned(),
                flag: "--label".to_owned(),
                choices: candidates.iter().map(|at| rows.header[*at].clone()).collect(),
            });
            return Some(found);
        };
        for (line, cells) in &rows.cells {
            let Some(image) = names.find(&cells[file]) else {
                let change = "add the file, or remove the row";
                found.bad.leave_out(&table.name, Some(*line), "its image is not there", change);
                continue;
            };
            let class = cells[label].trim().to_owned();
            if class.is_empty() {
                let change = "give it one, or remove the row";
                found.bad.push_unlabeled(&table.name, *line, "it has no label", change);
                continue;
            }
            let split = split.and_then(|at| split_named(&cells[at], options));
            found.labels[image] = Some(StatedLabel { class, split });
        }
        Some(found)
    }
}

/// Images by the names that a table may use: the path from the table or from the top, the file's own name,
/// and that without its ending.
struct ImageNames {
    by_name: HashMap<String, Option<usize>>,
}

impl ImageNames {
    fn from_images(table: &SourceFile, images: &[SourceFile]) -> Self {
        let mut by_name: HashMap<String, Option<usize>> = HashMap::new();
        let folder = table.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut add = |name: &str, at: usize| {
            let known = by_name.entry(name.to_owned()).or_insert(Some(at));
            // One name for several images means none of them.
            if *known != Some(at) {
                *known = None;
            }
        };
        for (at, image) in images.iter().enumerate() {
            let name = image.name.as_str();
            let within = if folder.is_empty() {
                Some(name)
            } else {
                name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'))
            };
            let own = name.rsplit('/').next().unwrap_or(name);
            let mut names = vec![name, own];
            names.extend(within);
            for name in names.clone() {
                names.extend(name.rsplit_once('.').map(|(stem, _)| stem));
            }
            names.sort_unstable();
            names.dedup();
            for name in names {
                add(name, at);
            }
        }
        Self { by_name }
    }

    fn find(&self, cell: &str) -> Option<usize> {
        let name = cell.trim().replace('\\', "/");
        *self.by_name.get(name.strip_prefix("./").unwrap_or(&name))?
    }
}

/// Rows of a small table. All have as many cells as the header.
struct Rows {
    header: Vec<String>,
    /// Line and cells.
    cells: Vec<(u64, Vec<String>)>,
}

impl Rows {
    fn read(table: &SourceFile, reading: &mut Reading<'_>) -> Result<Option<Self>, DataError> {
        let path = &table.path;
        let length = fs::metadata(path).map_err(DataError::io(path))?.len();
        // Each byte can become a cell, but usual tables need a few times their length.
        let needed = usize::try_from(length).unwrap_or(usize::MAX).saturating_mul(4);
        if length > LARGEST || reading.memory.take(needed).is_err() {
            return Ok(None);
        }
        let bytes = fs::read(path).map_err(DataError::io(path))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if text.trim_start().starts_with('{') {
            return Ok(Self::from_json_lines(text));
        }
        Ok(Self::from_delimited(text))
    }

    fn from_delimited(text: &str) -> Option<Self> {
        let first = text.lines().next()?;
        let count = |separator: &u8| first.bytes().filter(|byte| byte == separator).count();
        let separator = [b',', b'\t', b';'].into_iter().max_by_key(count)?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().ok()?.iter().map(str::to_owned).collect();
        let mut cells = Vec::new();
        for record in reader.records() {
            let record = record.ok()?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut row: Vec<String> = record.iter().map(str::to_owned).collect();
            row.resize(header.len(), String::new());
            cells.push((line, row));
        }
        Some(Self { header, cells })
    }

    fn from_json_lines(text: &str) -> Option<Self> {
        let mut header: Vec<String> = Vec::new();
        let mut cells = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.trim().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(text).ok()?;
            if header.is_empty() {
                header = object.keys().cloned().collect();
            }
            let cell = |name: &String| match object.get(name) {
                None | Some(serde_json::Value::Null) => String::new(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            cells.push((line, header.iter().map(cell).collect()));
        }
        Some(Self { header, cells })
    }
}
