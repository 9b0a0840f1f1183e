//! JSON lines: one object a line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::name_of;
use super::table::{Record, Table};
use crate::DataError;

/// A longer line is refused before it fills the memory.
const LONGEST_LINE: u64 = 64 << 20;

/// Reads a whole file; its columns are all keys of all lines, by name.
pub fn read(path: &Path) -> Result<Table, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    parse(&name_of(path), BufReader::new(file)).map_err(|reason| DataError::file(path, reason))
}

fn parse(file: &str, mut reader: impl BufRead) -> Result<Table, String> {
    let mut table = Table::default();
    let mut columns: BTreeSet<String> = BTreeSet::new();
    let mut objects: Vec<(u64, Map<String, Value>)> = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
        if line.len() as u64 == LONGEST_LINE {
            return Err(format!("line {number} is longer than {} MiB", LONGEST_LINE >> 20));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Map<String, Value>>(&line) {
            Ok(object) => {
                for key in object.keys() {
                    if !columns.contains(key) {
                        columns.insert(key.clone());
                    }
                }
                objects.push((number, object));
            }
            Err(error) => table.bad.push(file, number, format!("it is no JSON object: {error}")),
        }
    }
    for (line, mut object) in objects {
        let cells = columns.iter().map(|key| object.remove(key).map_or(String::new(), cell));
        table.records.push(Record { line, cells: cells.collect() });
    }
    table.header = Some(columns.into_iter().collect());
    Ok(table)
}

/// Lists and objects are no values of a column: they count as absent.
fn cell(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(it) => it.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_columns_and_broken_lines_are_named() {
        let text = "{\"text\":\"a\",\"label\":1}\n\n[1]\n{\"label\":true,\"text\":null}\n{\"te";
        let table = parse("t.jsonl", text.as_bytes()).unwrap();
        assert_eq!(table.header.unwrap(), ["label", "text"]);
        assert_eq!(table.records[0], Record { line: 1, cells: vec!["1".into(), "a".into()] });
        assert_eq!(table.records[1], Record { line: 4, cells: vec!["true".into(), String::new()] });
        assert_eq!(table.bad.count, 2);
        assert_eq!((table.bad.first[0].line, table.bad.first[1].line), (3, 5));
    }
}
