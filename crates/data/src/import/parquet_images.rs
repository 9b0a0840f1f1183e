//! Images in a column of Parquet files, as the Hugging Face hub stores them.

use std::path::Path;

use protocol::dataset::import::{
    ColumnRole, Confidence, ImportOptions, ImportPlan, OpenQuestion, PlannedColumn, SplitName,
};

use super::image_files;
use super::image_rows::{self, BATCH, Encoded, ImageEntry, Take};
use super::import_file::TableFile;
use super::kind::Kind;
use super::limits::Reading;
use super::rows::{Bad, Gathered};
use super::tables::{cell_text, label_by_name};
use crate::DataError;
use crate::columns::{Cell, Columns};
use crate::image_decode;

/// Most bytes of encoded images in memory at once, besides one image.
const MOST_BYTES: usize = 64 << 20;

/// Reads files with a column of encoded images. Returns `None` if they have none.
pub(super) fn gather(
    files: &[TableFile],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Option<Gathered>, DataError> {
    let Some(first) = files.first() else { return Ok(None) };
    for file in files {
        if Kind::detect(&file.path)? != Kind::Parquet {
            return Ok(None);
        }
    }
    let columns = Columns::open(&first.path)?;
    let names: Vec<String> = columns.names().map(str::to_owned).collect();
    let found = image_columns(&columns, &names);
    let chosen = options
        .image
        .as_ref()
        .map(|stated| found.iter().find(|name| *name == stated || shown(name) == stated));
    let image = match (chosen, found.as_slice()) {
        (_, []) => return Ok(None),
        (Some(Some(image)), _) | (None, [image]) => image,
        (Some(None), _) => {
            let choices: Vec<&str> = found.iter().map(|name| shown(name)).collect();
            let reason =
                format!("has its images in {}; set --image to one of them", choices.join(", "));
            return Err(DataError::file(&first.path, reason));
        }
        (None, several) => {
            let choices = several.iter().map(|name| shown(name).to_owned()).collect();
            return Ok(Some(undecided(options, "which column has the images?", "image", choices)));
        }
    };
    let others: Vec<String> = names
        .iter()
        .filter(|name| !found.contains(name) && shown(name) != shown(image))
        .cloned()
        .collect();
    let Some(label) = label(&first.path, &others, options)? else {
        return Ok(Some(undecided(options, "which column is the label?", "label", others)));
    };
    let classes = columns.class_names(&label);
    let mut bad = Bad::default();
    let (mut entries, mut labels_read, mut at_rows) = (Vec::new(), Examples::default(), Vec::new());
    for file in files {
        let split = file.split.unwrap_or(SplitName::Train);
        let columns = Columns::open(&file.path)?;
        let (mut row, mut of_split) = (0, 0);
        columns.read(&label, |cell| {
            row += 1;
            let refused = |reason| DataError::file(&file.path, reason);
            let text = cell_text(cell).into_owned();
            reading.memory.take_cell(text.len() + file.name.len()).map_err(refused)?;
            labels_read.add(&text);
            let class = match class(text.trim(), classes.as_deref()) {
                Some(class) => class,
                None if text.trim().is_empty() || text.trim() == "-1" => {
                    let change = "give it one, or remove the row";
                    bad.push_unlabeled(&file.name, row, "it has no label", change);
                    at_rows.push(None);
                    return Ok(());
                }
                None => {
                    let reason = format!("its label {text} is not one of the file's classes");
                    let kind = "its label is not one of the file's classes";
                    bad.push_kind(&file.name, row, kind, reason, "write a class's number, from 0");
                    at_rows.push(None);
                    return Ok(());
                }
            };
            of_split += 1;
            if options.limit.is_some_and(|limit| of_split > limit) {
                bad.leave_out(&file.name, Some(row), "it is over the limit", "raise --limit");
                at_rows.push(None);
                return Ok(());
            }
            at_rows.push(Some(entries.len()));
            entries.push(ImageEntry { file: file.name.clone(), line: Some(row), split, class });
            Ok(())
        })?;
    }
    let feed = |take: &mut Take<'_>| feed(files, image, &at_rows, take);
    let rows = image_rows::read(&first.path, entries, options, reading, &mut bad, &feed)?;
    let image_name = shown(image).to_owned();
    let plan = ImportPlan {
        format: format!("images in `{image}`, classes in `{label}`"),
        columns: planned(&names, image, &label, &labels_read, options),
        confidence: Confidence::Likely,
        options: ImportOptions {
            image: Some(image_name),
            label: Some(label.clone()),
            ..options.clone()
        },
        ..ImportPlan::default()
    };
    let sources = |split: SplitName| {
        let of_split = |file: &&TableFile| file.split.unwrap_or(SplitName::Train) == split;
        files.iter().filter(of_split).map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut gathered = image_files::gathered(rows, plan, &sources, classes, bad);
    "images in Parquet".clone_into(&mut gathered.plan.format);
    Ok(Some(gathered))
}

/// Gives the images of all files to `take`, each with the index of its entry.
fn feed(
    files: &[TableFile],
    image: &str,
    at_rows: &[Option<usize>],
    take: &mut Take<'_>,
) -> Result<(), DataError> {
    let (mut batch, mut bytes, mut row) = (Vec::new(), 0, 0);
    for file in files {
        Columns::open(&file.path)?.read(image, |cell| {
            let at = at_rows.get(row).copied().flatten();
            row += 1;
            let Some(at) = at else { return Ok(()) };
            let encoded = match cell {
                Cell::Bytes(image) => {
                    bytes += image.len();
                    Encoded::Bytes(image.to_vec())
                }
                Cell::Null
                | Cell::Boolean(_)
                | Cell::Integer(_)
                | Cell::Unsigned(_)
                | Cell::Decimal(..)
                | Cell::Real(_) => Encoded::Missing,
            };
            batch.push((at, encoded));
            if batch.len() >= BATCH || bytes > MOST_BYTES {
                bytes = 0;
                take(std::mem::take(&mut batch))?;
            }
            Ok(())
        })?;
    }
    take(batch)
}

/// Returns the columns whose first value is an image.
fn image_columns(columns: &Columns, names: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        // The hub stores an image with its path.
        let is_path =
            name.strip_suffix(".path").is_some_and(|of| names.contains(&format!("{of}.bytes")));
        let first = if is_path { Vec::new() } else { columns.first(name) };
        if image_decode::detect(&first[..first.len().min(image_decode::START)]).is_some() {
            found.push(name.clone());
        }
    }
    found
}

/// Returns the name of a column of images as people know it.
fn shown(name: &str) -> &str {
    name.strip_suffix(".bytes").unwrap_or(name)
}

/// Returns the column of the label, or `None` if the names don't decide.
fn label(
    path: &Path,
    others: &[String],
    options: &ImportOptions,
) -> Result<Option<String>, DataError> {
    if let Some(stated) = &options.label {
        let known = others.iter().find(|name| *name == stated).cloned();
        return known.map(Some).ok_or_else(|| {
            let reason = format!(
                "has no column `{stated}` for the label; its columns are {}",
                others.join(", ")
            );
            DataError::file(path, reason)
        });
    }
    if let Some(at) = label_by_name(others) {
        return Ok(others.get(at).cloned());
    }
    match others {
        [] => Err(DataError::file(path, "has images, but no column for their label; add one")),
        [only] => Ok(Some(only.clone())),
        _ => Ok(None),
    }
}

/// Returns the class of a label. Labels are numbers if the file states the names of the classes.
fn class(label: &str, classes: Option<&[String]>) -> Option<String> {
    match classes {
        Some(classes) => classes.get(label.parse::<usize>().ok()?).cloned(),
        None => (!label.is_empty()).then(|| label.to_owned()),
    }
}

/// Values of a column for its description.
#[derive(Default)]
struct Examples {
    first: Vec<String>,
    distinct: std::collections::BTreeSet<String>,
    missing: u64,
}

impl Examples {
    const MOST: usize = 1000;

    fn add(&mut self, value: &str) {
        if value.is_empty() {
            self.missing += 1;
            return;
        }
        if self.first.len() < 3 {
            self.first.push(value.chars().take(100).collect());
        }
        if self.distinct.len() < Self::MOST {
            self.distinct.insert(value.to_owned());
        }
    }
}

fn planned(
    names: &[String],
    image: &str,
    label: &str,
    labels: &Examples,
    options: &ImportOptions,
) -> Vec<PlannedColumn> {
    let reason =
        |stated: bool, own: &str| if stated { "stated".to_owned() } else { own.to_owned() };
    let columns = names.iter().map(|name| {
        let unused = PlannedColumn {
            name: shown(name).to_owned(),
            kind: "not read".to_owned(),
            distinct: None,
            missing: 0,
            examples: Vec::new(),
            role: ColumnRole::Unused,
            reason: "neither the images nor their label".to_owned(),
        };
        if name == image {
            let reason = reason(options.image.is_some(), "its values are images");
            PlannedColumn { kind: "image".to_owned(), role: ColumnRole::Image, reason, ..unused }
        } else if name == label {
            PlannedColumn {
                kind: if labels.first.iter().all(|value| value.parse::<i64>().is_ok()) {
                    "whole number".to_owned()
                } else {
                    "text".to_owned()
                },
                distinct: Some(labels.distinct.len() as u64),
                missing: labels.missing,
                examples: labels.first.clone(),
                role: ColumnRole::Label,
                reason: reason(options.label.is_some(), "its name, or it is the only other column"),
                ..unused
            }
        } else {
            unused
        }
    });
    columns.collect()
}

fn undecided(
    options: &ImportOptions,
    question: &str,
    option: &str,
    choices: Vec<String>,
) -> Gathered {
    let question = OpenQuestion {
        question: question.to_owned(),
        option: option.to_owned(),
        flag: format!("--{option}"),
        choices,
    };
    Gathered::undecided("images in Parquet", vec![question], options)
}
