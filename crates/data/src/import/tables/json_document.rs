//! JSON files that are one value: objects of rows or columns, and lists of lists.

use std::fs;
use std::path::Path;

use encoding_rs::Encoding;
use protocol::dataset::import::ImportOptions;
use serde_json::{Map, Value};

use super::encoding;
use super::json::{Pair, Record, pairs};
use crate::import::limits::Memory;
use crate::import::split_names::split_named;

/// Memory of a value in bytes for each byte of the file, at most.
const GROWTH: u64 = 16;

/// Reads the rows. Returns `None` if the value isn't a table.
pub(super) fn rows(
    path: &Path,
    encoding: &'static Encoding,
    options: &ImportOptions,
    memory: &mut Memory,
) -> Result<Option<Vec<Record>>, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    memory.take(usize::try_from(length.saturating_mul(GROWTH)).unwrap_or(usize::MAX))?;
    let source = encoding::open(path, encoding)?;
    let Ok(value) = serde_json::from_reader::<_, Value>(source) else { return Ok(None) };
    let rows = match &value {
        Value::Array(lists) => of_lists(lists),
        Value::Object(object) => of_object(object, options),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    Ok(rows.map(|rows| (1..).zip(rows).collect()))
}

fn of_object(object: &Map<String, Value>, options: &ImportOptions) -> Option<Vec<Vec<Pair>>> {
    // Written by pandas with orient="split".
    if let (Some(Value::Array(columns)), Some(Value::Array(data))) =
        (object.get("columns"), object.get("data"))
    {
        let header: Vec<String> = columns.iter().map(text).collect();
        return Some(data.iter().filter_map(|row| named(&header, row)).collect());
    }
    let lists: Vec<(&String, &Vec<Value>)> = object
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_array()?)))
        .filter(|(_, list)| list.first().is_some_and(Value::is_object))
        .collect();
    if let [(_, rows)] = lists.as_slice() {
        return Some(rows.iter().map(of_row).collect());
    }
    let are_splits = lists.iter().all(|(name, _)| split_named(name, options).is_some());
    if lists.len() > 1 && are_splits {
        let rows = lists.iter().flat_map(|(name, rows)| {
            rows.iter().map(|row| {
                let mut pairs = of_row(row);
                pairs.push(("split".to_owned(), (*name).clone()));
                pairs
            })
        });
        return Some(rows.collect());
    }
    // Columns, as lists or as objects with the rows' numbers.
    let columns: Vec<(&String, Vec<&Value>)> = object
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Array(values) => Some((name, values.iter().collect())),
            Value::Object(values) => Some((name, values.values().collect())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
        .collect();
    let count = columns.first()?.1.len();
    if columns.len() < object.len() || columns.iter().any(|(_, values)| values.len() != count) {
        return None;
    }
    let row = |at: usize| {
        columns.iter().map(|(name, values)| ((*name).clone(), text(values[at]))).collect()
    };
    Some((0..count).map(row).collect())
}

/// Lists of values. The first one holds the names if all its values are texts.
fn of_lists(lists: &[Value]) -> Option<Vec<Vec<Pair>>> {
    let (first, rest) = lists.split_first()?;
    let first_row = first.as_array()?;
    let looks_named = first_row.iter().all(Value::is_string)
        && rest.first()?.as_array()?.iter().any(Value::is_number);
    if looks_named {
        let header: Vec<String> = first_row.iter().map(text).collect();
        return Some(rest.iter().filter_map(|row| named(&header, row)).collect());
    }
    let header: Vec<String> = (1..=first_row.len()).map(|number| number.to_string()).collect();
    Some(lists.iter().filter_map(|row| named(&header, row)).collect())
}

fn named(header: &[String], row: &Value) -> Option<Vec<Pair>> {
    Some(header.iter().cloned().zip(row.as_array()?.iter().map(text)).collect())
}

fn of_row(row: &Value) -> Vec<Pair> {
    pairs(row.to_string().as_bytes()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => {
            let plain = values.iter().filter(|value| !value.is_array() && !value.is_object());
            plain.map(text).collect::<Vec<_>>().join(" ")
        }
        Value::Object(_) => String::new(),
    }
}
