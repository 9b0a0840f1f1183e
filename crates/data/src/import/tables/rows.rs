//! Second pass over a table: its records become rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use protocol::dataset::import::{ImportOptions, SplitName};
use protocol::text;

use super::classes;
use super::names::MissingValues;
use super::profile::number;
use super::roles::{Content, Roles};
use super::source::Table;
use crate::import::limits::Memory;
use crate::import::row_error::RowError;
use crate::import::rows::{Bad, LabeledRow};
use crate::import::split_names::split_named;
use crate::{LoadProgress, Sample};

/// Maximum size of a text in bytes. A longer one probably lacks a closing quote.
const LONGEST_TEXT: usize = 1 << 20;
/// Rows between two progress reports.
const REPORT: u64 = 10_000;

/// Options and classes that all tables of an import have in common.
pub(super) struct RowContext<'a> {
    pub roles: &'a Roles,
    pub options: &'a ImportOptions,
    pub missing: &'a MissingValues,
    /// Class names that the file states. Its labels are numbers from 0.
    pub classes: Option<&'a [String]>,
}

/// Rows by split, and what was noticed in them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub splits: BTreeMap<SplitName, Vec<LabeledRow>>,
    /// Labels with invisible characters, and the class that they became.
    pub invisible: BTreeMap<String, String>,
    /// Rows of each word for a missing label.
    pub missing_words: BTreeMap<String, u64>,
}

/// Reads the rows of a table. `places` has the table's column for each column of the first table.
pub(super) fn read(
    table: &Table,
    places: &HashMap<usize, usize>,
    shared: &RowContext<'_>,
    found: &mut Found,
    bad: &mut Bad,
    memory: &mut Memory,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<(), String> {
    let roles = shared.roles;
    let content: &[usize] = match &roles.content {
        Content::Texts(columns) => columns,
        Content::Pixels(pixels) => &pixels.columns,
    };
    let of_roles = || roles.label.into_iter().chain(roles.key).chain(roles.split);
    let wanted: Vec<usize> = of_roles()
        .chain(content.iter().copied())
        .filter_map(|at| places.get(&at).copied())
        .collect();
    let mut next = 0..;
    let mut place = |role: Option<usize>| role.and_then(|_| next.next());
    let (label, key, split) = (place(roles.label), place(roles.key), place(roles.split));
    let from = next.next().unwrap_or(0);
    let name = table.file.name.clone();
    let mut count = 0_u64;
    // The first pass already reported the rows that no reader can use.
    table.visit(&wanted, &mut Bad::default(), memory.clone(), &mut |line, cells| {
        count += 1;
        if count.is_multiple_of(REPORT) {
            progress(LoadProgress::Reading { rows: count });
        }
        let cell =
            |at: Option<usize>| at.and_then(|at| cells.get(at)).map_or("", |cell| cell.trim());
        let mut class = None;
        if label.is_some() {
            let word = cell(label);
            if shared.missing.contains(word) {
                *found.missing_words.entry(word.to_lowercase()).or_default() += 1;
                let change = "give it one, or remove the row";
                let reason = match word {
                    "" => "it has no label".to_owned(),
                    word => format!("its label is `{word}`, which counts as missing"),
                };
                bad.push_unlabeled(&name, line, &reason, change);
                return Ok(());
            }
            match class_of(word, shared, found) {
                Ok(it) => class = Some(it),
                Err(RowError(reason, change)) => {
                    bad.push_kind(&name, line, "its label can't be a class", reason, change);
                    return Ok(());
                }
            }
        }
        let part = match (split, table.file.split) {
            (Some(_), _) => split_named(cell(split), shared.options),
            (None, split) => Some(split.unwrap_or(SplitName::Train)),
        };
        let Some(part) = part else {
            let reason = format!("its split `{}` is unknown", cell(split));
            bad.push(&name, line, reason, "write train, validation or test");
            return Ok(());
        };
        let sample = match sample(&cells[from.min(cells.len())..], &roles.content) {
            Ok(sample) => sample,
            Err(RowError(reason, change)) => {
                bad.push(&name, line, reason, change);
                return Ok(());
            }
        };
        memory.take_row()?;
        memory.take_cell(sample.bytes().len())?;
        memory.take_cell(class.as_ref().map_or(0, String::len))?;
        let key = Some(cell(key)).filter(|key| !key.is_empty()).map(str::to_owned);
        found.splits.entry(part).or_default().push(LabeledRow { class, key, sample });
        Ok(())
    })
}

fn class_of(word: &str, shared: &RowContext<'_>, found: &mut Found) -> Result<String, RowError> {
    if let Some(classes) = shared.classes {
        let number: Option<usize> = word.parse().ok();
        return number.and_then(|number| classes.get(number)).cloned().ok_or_else(|| {
            let reason = format!("its label {word} is not one of {} classes", classes.len());
            RowError(reason, "write a class's number, from 0")
        });
    }
    if text::check(word).is_ok() {
        return Ok(word.to_owned());
    }
    let visible = classes::visible(word);
    if visible.is_empty() {
        let reason = format!("its label `{}` is invisible", text::escaped(word));
        return Err(RowError(reason, "write a label without invisible characters"));
    }
    if found.invisible.len() < 100 {
        found.invisible.insert(text::escaped(word), visible.clone());
    }
    Ok(visible)
}

fn sample(cells: &[Cow<'_, str>], content: &Content) -> Result<Sample, RowError> {
    match content {
        Content::Texts(_) => {
            let texts: Vec<&str> =
                cells.iter().map(|cell| cell.trim()).filter(|text| !text.is_empty()).collect();
            let text = texts.join(" ");
            match text.len() {
                0 => {
                    let reason = "its text is empty".to_owned();
                    Err(RowError(reason, "write one, or remove the row"))
                }
                length if length > LONGEST_TEXT => {
                    let reason = format!(
                        "its text has {length} bytes, more than 1 MiB; is a closing quote missing?"
                    );
                    Err(RowError(reason, "close its quote, or shorten it"))
                }
                _ => Ok(Sample::Text(text)),
            }
        }
        Content::Pixels(pixels) => {
            let pixel = |(cell, column): (&Cow<'_, str>, &usize)| {
                let value = number(cell.trim()).ok_or_else(|| {
                    let reason = format!("column {} is not a pixel value", column + 1);
                    RowError(reason, "write a number")
                })?;
                Ok::<u8, RowError>(pixels.byte(value))
            };
            let bytes = cells.iter().zip(&pixels.columns).map(pixel).collect::<Result<_, _>>()?;
            Ok(Sample::Image(bytes))
        }
    }
}
