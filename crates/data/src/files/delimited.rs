//! CSV and its kin: comma, semicolon or tab, with or without a header.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::meaning;
use super::table::{Record, Table};
use super::{MOST_BYTES, name_of};
use crate::DataError;

/// Reads a whole file. Records with another number of columns than most are bad.
pub fn read(path: &Path) -> Result<Table, DataError> {
    let size = fs::metadata(path).map_err(DataError::io(path))?.len();
    if size > MOST_BYTES {
        let reason = format!("is larger than {} GiB; add less of it", MOST_BYTES >> 30);
        return Err(DataError::file(path, reason));
    }
    let bytes = fs::read(path).map_err(DataError::io(path))?;
    if bytes.contains(&0) {
        return Err(DataError::file(
            path,
            "is not CSV, JSONL, Parquet, gzip or zip (nor UTF-16 text: save it as UTF-8)",
        ));
    }
    parse(&name_of(path), &bytes).map_err(|reason| DataError::file(path, reason))
}

fn parse(file: &str, bytes: &[u8]) -> Result<Table, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(bytes))
        .from_reader(bytes);
    let mut table = Table::default();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Result<Vec<String>, _> =
            record.iter().map(|cell| std::str::from_utf8(cell).map(str::to_owned)).collect();
        match cells {
            Ok(cells) => table.records.push(Record { line, cells }),
            Err(_) => table.bad.push(file, line, "it is not UTF-8"),
        }
    }
    let columns = columns(&table.records);
    if meaning::has_header(&table.records) {
        let header = table.records.remove(0).cells;
        if header.len() != columns {
            let names = header.len();
            return Err(format!("its header names {names} columns where the rows have {columns}"));
        }
        table.header = Some(header);
    }
    let (good, others) =
        table.records.into_iter().partition(|record| record.cells.len() == columns);
    table.records = good;
    let others: Vec<Record> = others;
    for record in others {
        let found = record.cells.len();
        let reason = format!("it has {found} column(s) where the others have {columns}");
        table.bad.push(file, record.line, reason);
    }
    table.bad.first.sort_by_key(|bad| bad.line);
    Ok(table)
}

/// The most frequent width among the first records; the first record wins a tie.
fn columns(records: &[Record]) -> usize {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for record in records.iter().take(1000) {
        *counts.entry(record.cells.len()).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or(0);
    let widths = records.iter().map(|record| record.cells.len());
    widths.take(1000).find(|width| counts.get(width) == Some(&most)).unwrap_or(0)
}

/// The one that the first lines have most of outside quotes; a comma where none is there.
fn delimiter(bytes: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in bytes.iter().take(4096) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            byte if !quoted => {
                if let Some((_, count)) = counts.iter_mut().find(|(known, _)| known == byte) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    let [comma, semicolon, tab] = counts;
    let best = if semicolon.1 > comma.1 { semicolon } else { comma };
    if tab.1 > best.1 { tab.0 } else { best.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::files::meaning::Meaning;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(table) = parse("fuzz", &bytes) {
                let _ = Meaning::of(&table);
            }
        }

        #[test]
        fn no_text_of_quotes_and_separators_panics(text in "[a,;\t\"\n\r01é]{0,80}") {
            if let Ok(table) = parse("fuzz", text.as_bytes()) {
                let _ = Meaning::of(&table);
            }
        }
    }

    #[test]
    fn quotes_hold_separators_and_line_breaks() {
        let table = parse("t", b"text,label\n\"a, \"\"b\"\"\nc\",x\nd,y\n").unwrap();
        assert_eq!(table.header.unwrap(), ["text", "label"]);
        assert_eq!(table.records[0].cells, ["a, \"b\"\nc", "x"]);
        assert_eq!((table.records[0].line, table.records[1].line), (2, 4));
    }

    #[test]
    fn semicolons_tabs_and_a_mark_are_seen() {
        let table = parse("t", b"\xef\xbb\xbflabel;text\nx;a, b\ny;c\n").unwrap();
        assert_eq!(table.header.unwrap(), ["label", "text"]);
        assert_eq!(table.records[0].cells, ["x", "a, b"]);
        assert_eq!(parse("t", b"label\ttext\n1\ta\n").unwrap().records[0].cells, ["1", "a"]);
    }

    #[test]
    fn broken_rows_are_named_by_line() {
        let table = parse("t.csv", b"text,label\na,x\nb\nc,y,z\n\xff,x\nd,y\n").unwrap();
        assert_eq!(table.records.len(), 2);
        let bad: Vec<String> = table.bad.first.iter().map(ToString::to_string).collect();
        assert_eq!(
            bad,
            [
                "t.csv line 3: it has 1 column(s) where the others have 2",
                "t.csv line 4: it has 3 column(s) where the others have 2",
                "t.csv line 5: it is not UTF-8",
            ]
        );
    }
}
