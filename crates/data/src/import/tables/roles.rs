//! Roles of a table's columns, from the options, from their names, or else from their values.

use protocol::dataset::import::{DatasetTask, ImportOptions, OpenQuestion};

use super::names::{LabelName, is_split_name, label_name, label_rank, text_columns};
use super::pixels::{self, Pixels};
use super::profile::MOST_VALUES;
use super::questions;
use super::source::Table;
use crate::import::split_names::split_named;

/// Most different whole numbers of a column that is likely the label.
const MOST_NUMBERS: usize = 20;

/// Roles of the columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Roles {
    /// `None` in datasets without labels.
    pub label: Option<usize>,
    pub content: Content,
    pub key: Option<usize>,
    pub split: Option<usize>,
    /// Whether values decided, not names or options.
    pub inferred: bool,
    pub label_reason: &'static str,
    pub text_reason: &'static str,
}

/// Columns with the samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Text columns, joined by a space.
    Texts(Vec<usize>),
    Pixels(Pixels),
}

const BY_OPTION: &str = "an option states it";
const BY_NAME: &str = "its name states it";
const BY_VALUES: &str = "its values repeat";
const BY_LENGTH: &str = "its values are the longest texts";

impl Roles {
    pub(super) const fn task(&self) -> DatasetTask {
        match self.label {
            Some(_) => DatasetTask::Classification,
            None => DatasetTask::Language,
        }
    }
}

/// Decides the roles. Adds a question for each decision that the table leaves open.
pub(super) fn decide(
    table: &Table,
    options: &ImportOptions,
    open: &mut Vec<OpenQuestion>,
) -> Result<Roles, String> {
    let stated = |name: &Option<String>| name.as_ref().map(|name| column(table, name)).transpose();
    let key = stated(&options.key)?;
    let split = split_column(table, options, open);
    let texts: Option<Vec<usize>> = match &options.text {
        Some(names) => {
            Some(names.iter().map(|name| column(table, name)).collect::<Result<_, _>>()?)
        }
        None => None,
    };
    let others: Vec<usize> = key.into_iter().chain(split).collect();
    let may_have_label = options.task != Some(DatasetTask::Language);
    let named = match stated(&options.label)? {
        Some(label) => Some((label, BY_OPTION)),
        None if !may_have_label => None,
        None => named_label(table, &others, open).map(|label| (label, BY_NAME)),
    };
    if texts.is_none() && may_have_label {
        let label = named.map(|(label, _)| label);
        if let Some((label, pixels)) = pixels::detect(table, label, &others) {
            let label_reason = named.map_or("its values are the most even", |(_, reason)| reason);
            return Ok(Roles {
                label: Some(label),
                content: Content::Pixels(pixels),
                key,
                split,
                inferred: true,
                label_reason,
                text_reason: "",
            });
        }
    }
    let asked = open.iter().any(|question| question.option == "label");
    let named_texts: Vec<usize> = text_columns(&table.names)
        .into_iter()
        .filter(|at| table.named && table.profiles[*at].unreadable.is_none())
        .filter(|at| !others.contains(at) && named.is_none_or(|(label, _)| label != *at))
        .collect();
    let label = match named {
        Some((label, reason)) => Some((label, reason)),
        None if !may_have_label || asked => None,
        None => {
            let mut not: Vec<usize> = others.clone();
            not.extend(texts.iter().flatten());
            not.extend(&named_texts);
            likely_label(table, &not, options, open).map(|label| (label, BY_VALUES))
        }
    };
    if let Some((label, _)) = label {
        check_label(table, label, open)?;
    }
    let label_at = label.map(|(label, _)| label);
    let (texts, text_reason) = if let Some(texts) = texts {
        (texts, BY_OPTION)
    } else {
        let not: Vec<usize> = others.iter().copied().chain(label_at).collect();
        text(table, &named_texts, &not, open)
    };
    for at in &texts {
        if let Some(kind) = &table.profiles[*at].unreadable {
            return Err(format!("{} is not read as text ({kind})", table.shown(*at)));
        }
    }
    let label_reason = label.map_or("", |(_, reason)| reason);
    let inferred = label_reason == BY_VALUES || text_reason == BY_LENGTH;
    let content = Content::Texts(texts);
    Ok(Roles { label: label_at, content, key, split, inferred, label_reason, text_reason })
}

fn column(table: &Table, name: &str) -> Result<usize, String> {
    table.column(name).ok_or_else(|| {
        let known: Vec<&str> = table.names.iter().take(50).map(String::as_str).collect();
        format!("has no column `{name}`; its columns are {}", known.join(", "))
    })
}

/// Returns the column that names the split of each row.
fn split_column(
    table: &Table,
    options: &ImportOptions,
    open: &mut Vec<OpenQuestion>,
) -> Option<usize> {
    if table.file.split.is_some() {
        return None;
    }
    for (at, name) in table.names.iter().enumerate() {
        let Some(values) = &table.profiles[at].values else { continue };
        if !table.named || !is_split_name(name) || values.is_empty() || values.len() > 20 {
            continue;
        }
        let mut unknown: Vec<String> =
            values.keys().filter(|value| split_named(value, options).is_none()).cloned().collect();
        unknown.sort();
        if unknown.is_empty() {
            return Some(at);
        }
        if unknown.len() < values.len() {
            open.push(questions::values(&table.shown(at), &unknown));
            return Some(at);
        }
    }
    None
}

/// Returns the label column by its name, if its values can be classes.
fn named_label(table: &Table, others: &[usize], open: &mut Vec<OpenQuestion>) -> Option<usize> {
    if !table.named {
        return None;
    }
    let with = |strength: LabelName| -> Vec<usize> {
        let columns = (0..table.names.len()).filter(|at| !others.contains(at));
        let named = columns.filter(|at| label_name(&table.names[*at]) == Some(strength));
        named.collect()
    };
    let certain = with(LabelName::Certain);
    let first = certain.iter().min_by_key(|at| label_rank(&table.names[**at]));
    if let Some(first) = first {
        return Some(*first);
    }
    let likely: Vec<usize> = with(LabelName::Likely)
        .into_iter()
        .filter(|at| table.profiles[*at].unreadable.is_none())
        .filter(|at| table.profiles[*at].values.as_ref().is_some_and(|values| values.len() > 1))
        .collect();
    match likely.as_slice() {
        [] => None,
        [one] => Some(*one),
        several => {
            open.push(questions::label(
                several.iter().map(|at| table.names[*at].clone()).collect(),
            ));
            None
        }
    }
}

/// Returns the label column by its values if exactly one can be it.
fn likely_label(
    table: &Table,
    not: &[usize],
    options: &ImportOptions,
    open: &mut Vec<OpenQuestion>,
) -> Option<usize> {
    let candidates: Vec<(usize, usize)> = (0..table.names.len())
        .filter(|at| !not.contains(at))
        .filter_map(|at| Some((at, table.profiles[at].classes()?)))
        .collect();
    let short = |at: usize| !table.profiles[at].is_prose();
    let few = |(at, classes): &(usize, usize)| {
        short(*at) && (!table.profiles[*at].is_numeric() || *classes <= MOST_NUMBERS)
    };
    let first: Vec<usize> = candidates.iter().filter(|it| few(it)).map(|(at, _)| *at).collect();
    let rest = candidates.iter().map(|(at, _)| *at).filter(|at| !first.contains(at));
    let group = if first.is_empty() { rest.collect() } else { first };
    match group.as_slice() {
        [] if options.task == Some(DatasetTask::Classification) => {
            open.push(questions::label(table.names.clone()));
            None
        }
        [] => None,
        [one] => Some(*one),
        several => {
            open.push(questions::label(
                several.iter().map(|at| table.names[*at].clone()).collect(),
            ));
            None
        }
    }
}

fn check_label(table: &Table, label: usize, open: &mut Vec<OpenQuestion>) -> Result<(), String> {
    let profile = &table.profiles[label];
    if let Some(kind) = &profile.unreadable {
        return Err(format!("{} is not read as label ({kind})", table.shown(label)));
    }
    if profile.values.is_none() {
        let others = (0..table.names.len()).filter(|at| *at != label);
        let can = others.filter(|at| table.profiles[*at].classes().is_some());
        let names = can.map(|at| table.names[at].clone()).collect();
        open.push(questions::too_many_classes(&table.shown(label), MOST_VALUES, names));
    }
    Ok(())
}

/// Returns the text columns: those with typical names, or those with sentences, or else the one with the longest
/// values.
fn text(
    table: &Table,
    named: &[usize],
    not: &[usize],
    open: &mut Vec<OpenQuestion>,
) -> (Vec<usize>, &'static str) {
    if !named.is_empty() {
        return (named.to_vec(), BY_NAME);
    }
    let rest: Vec<usize> = (0..table.names.len())
        .filter(|at| !not.contains(at) && table.profiles[*at].unreadable.is_none())
        .filter(|at| table.profiles[*at].present > 0 && !table.profiles[*at].is_numeric())
        .collect();
    let is_prose = |at: &usize| table.profiles[*at].is_prose();
    let is_phrase = |at: &usize| table.profiles[*at].words * 2 >= table.profiles[*at].present * 3;
    let prose: Vec<usize> = match rest.iter().any(is_prose) {
        // Titles of tables without names.
        true if !table.named => rest.iter().copied().filter(|at| is_phrase(at)).collect(),
        true => rest.iter().copied().filter(|at| is_prose(at)).collect(),
        false => Vec::new(),
    };
    if !prose.is_empty() {
        return (prose, BY_LENGTH);
    }
    let length = |at: &usize| table.profiles[*at].bytes_per_value();
    let mut by_length = rest.clone();
    by_length.sort_by_key(|at| std::cmp::Reverse(length(at)));
    match by_length.as_slice() {
        [] => {
            let numbers = (0..table.names.len()).filter(|at| !not.contains(at));
            let columns = numbers.map(|at| table.names[at].clone()).collect();
            open.push(questions::numbers_only(columns));
            (Vec::new(), BY_LENGTH)
        }
        [one] => (vec![*one], BY_LENGTH),
        [longest, second, ..] if length(longest) >= 2 * length(second).max(1) => {
            (vec![*longest], BY_LENGTH)
        }
        several => {
            open.push(questions::text(several.iter().map(|at| table.names[*at].clone()).collect()));
            (vec![several[0]], BY_LENGTH)
        }
    }
}
