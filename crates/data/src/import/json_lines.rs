//! JSON lines: one object per line.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::kind::name_of;
use super::limits::{LONGEST_ROW, Memory, check_columns};
use super::records::{Record, Table};
use crate::DataError;

/// Reads a whole file. Its columns are all keys of all lines, sorted by name.
pub(super) fn read(path: &Path, memory: &mut Memory) -> Result<Table, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let parsed = parse(&name_of(path), BufReader::new(file), memory);
    parsed.map_err(|reason| DataError::file(path, reason))
}

fn parse(file: &str, mut reader: impl BufRead, memory: &mut Memory) -> Result<Table, String> {
    let mut table = Table::default();
    // Column indices by name, in order of first occurrence.
    let mut columns: HashMap<String, usize> = HashMap::new();
    let mut objects: Vec<(u64, Vec<(usize, String)>)> = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_ROW).read_until(b'\n', &mut line);
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
        if line.len() as u64 == LONGEST_ROW {
            return Err(format!("line {number} is longer than {} MiB", LONGEST_ROW >> 20));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<BTreeMap<String, Cell>>(&line) {
            Ok(object) => {
                memory.take_row()?;
                let mut cells = Vec::with_capacity(object.len());
                for (key, Cell(text)) in object {
                    memory.take_cell(text.len())?;
                    let next = columns.len();
                    cells.push((*columns.entry(key).or_insert(next), text));
                }
                check_columns(columns.len())?;
                objects.push((number, cells));
            }
            Err(error) => {
                let reason = match error.column() {
                    0 => "it is not a JSON object".to_owned(),
                    column => format!("it is not a valid JSON object (error at column {column})"),
                };
                table.bad.push(file, number, reason, "write one JSON object per line");
            }
        }
    }
    let mut header: Vec<(String, usize)> = columns.into_iter().collect();
    header.sort();
    let mut places = vec![0; header.len()];
    for (place, (_, column)) in header.iter().enumerate() {
        places[*column] = place;
    }
    for (line, cells) in objects {
        // An absent value also takes a cell.
        memory.take(size_of::<String>() * (header.len() - cells.len()))?;
        let mut row = vec![String::new(); header.len()];
        for (column, text) in cells {
            row[places[column]] = text;
        }
        table.records.push(Record { line, cells: row });
    }
    table.header = Some(header.into_iter().map(|(name, _)| name).collect());
    Ok(table)
}

/// Value as text. Lists and objects cannot be a column's values. They count as absent and are
/// skipped without storing them, at any size and depth.
struct Cell(String);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor).map(Cell)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(Number::from_f64(number).map_or_else(String::new, |number| number.to_string()))
    }

    fn visit_bool<E>(self, it: bool) -> Result<String, E> {
        Ok(it.to_string())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<String, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Table, String> {
        parse("t.jsonl", bytes, &mut Memory::with_limit(1 << 20))
    }

    #[test]
    fn keys_become_columns_and_bad_lines_are_reported() {
        let text = "{\"text\":\"a\",\"label\":1}\n\n[1]\n{\"label\":true,\"text\":null}\n{\"te";
        let table = parsed(text.as_bytes()).unwrap();
        assert_eq!(table.header.unwrap(), ["label", "text"]);
        assert_eq!(table.records[0], Record { line: 1, cells: vec!["1".into(), "a".into()] });
        assert_eq!(table.records[1], Record { line: 4, cells: vec!["true".into(), String::new()] });
        assert_eq!(table.bad.count, 2);
        assert_eq!((table.bad.first[0].line, table.bad.first[1].line), (3, 5));
    }

    #[test]
    fn lists_and_objects_are_absent_at_any_depth_and_numbers_stay_as_written() {
        let deep = ["[".repeat(1_000_000), "]".repeat(1_000_000)].concat();
        let text = format!("{{\"a\":{deep},\"b\":1.0,\"c\":{{\"x\":[1]}},\"d\":-2}}\n");
        let table = parsed(text.as_bytes()).unwrap();
        assert_eq!(table.bad.count, 0, "{:?}", table.bad.first);
        assert_eq!(table.records[0].cells, ["", "1.0", "", "-2"]);
    }

    #[test]
    fn memory_use_is_bounded() {
        // Each line adds a column, and every row would have a cell in each.
        let lines: Vec<String> = (0..2000).map(|at| format!("{{\"{at}\":1}}\n")).collect();
        let error = parsed(lines.concat().as_bytes()).unwrap_err();
        assert!(error.contains("more than 1 MiB of memory"), "{error}");
        let keys: Vec<String> = (0..=20_000).map(|at| format!("\"{at}\":1")).collect();
        let error = parsed(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap_err();
        assert!(error.contains("20000 columns"), "{error}");
        let line = BufReader::new(std::io::repeat(b'{'));
        let error = parse("t", line, &mut Memory::with_limit(1 << 20)).unwrap_err();
        assert_eq!(error, "line 1 is longer than 16 MiB");
    }
}
