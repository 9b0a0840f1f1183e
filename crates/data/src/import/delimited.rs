//! Delimited text: CSV with comma, semicolon or tab, with or without a header.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::column_inference;
use super::kind::name_of;
use super::limits::{LONGEST_ROW, Memory, check_columns};
use super::records::{Record, Table};
use crate::DataError;

/// Reads a whole file. Records whose number of columns differs from most are bad rows.
pub(super) fn read(path: &Path, memory: &mut Memory) -> Result<Table, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let parsed = parse(&name_of(path), BufReader::with_capacity(64 << 10, file), memory);
    parsed.map_err(|reason| DataError::file(path, reason))
}

fn parse(file: &str, mut source: impl BufRead, memory: &mut Memory) -> Result<Table, String> {
    let start = source.fill_buf().map_err(|error| error.to_string())?;
    let byte_order_mark: &[u8] = b"\xef\xbb\xbf";
    let skipped = if start.starts_with(byte_order_mark) { byte_order_mark.len() } else { 0 };
    let delimiter = delimiter(&start[skipped..]);
    source.consume(skipped);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(RowByRow { source, left: LONGEST_ROW });
    let mut table = Table::default();
    let mut record = ByteRecord::new();
    loop {
        let line = reader.position().line();
        reader.get_mut().left = LONGEST_ROW;
        let read = reader.read_byte_record(&mut record);
        if !read.map_err(|error| format!("line {line}: {error}"))? {
            break;
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.as_slice().contains(&0) {
            let reason = "is not CSV, JSONL, Parquet, gzip or zip; if it is UTF-16 text, save it \
                          as UTF-8";
            return Err(reason.to_owned());
        }
        check_columns(record.len())?;
        memory.take_row()?;
        record.iter().try_for_each(|cell| memory.take_cell(cell.len()))?;
        let cells: Result<Vec<String>, _> =
            record.iter().map(|cell| std::str::from_utf8(cell).map(str::to_owned)).collect();
        match cells {
            Ok(cells) => table.records.push(Record { line, cells }),
            Err(_) => table.bad.push(file, line, "it is not UTF-8", "save the file as UTF-8"),
        }
    }
    let columns = columns(&table.records);
    if column_inference::has_header(&table.records) {
        let header = table.records.remove(0).cells;
        if header.len() != columns {
            let names = header.len();
            return Err(format!("its header has {names} columns, but the rows have {columns}"));
        }
        table.header = Some(header);
    }
    let (good, others) =
        table.records.into_iter().partition(|record| record.cells.len() == columns);
    table.records = good;
    let others: Vec<Record> = others;
    for record in others {
        let found = record.cells.len();
        let plural = if found == 1 { "" } else { "s" };
        let reason = format!("it has {found} column{plural}, but the other rows have {columns}");
        let change = if found > columns {
            "put values that contain a separator in quotes"
        } else {
            "add the missing values, or remove the row"
        };
        table.bad.push(file, record.line, reason, change);
    }
    table.bad.first.sort_by_key(|bad| bad.line);
    Ok(table)
}

/// Source of rows that fails if a row is too long.
struct RowByRow<R> {
    source: R,
    /// Bytes left for the current row.
    left: u64,
}

impl<R: Read> Read for RowByRow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let most = LONGEST_ROW >> 20;
            let reason = format!("this row is longer than {most} MiB; is a closing quote missing?");
            return Err(io::Error::other(reason));
        }
        let read = self.source.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// Returns the most frequent number of columns among the first records. The first record wins a
/// tie.
fn columns(records: &[Record]) -> usize {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for record in records.iter().take(1000) {
        *counts.entry(record.cells.len()).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or(0);
    let widths = records.iter().map(|record| record.cells.len());
    widths.take(1000).find(|width| counts.get(width) == Some(&most)).unwrap_or(0)
}

/// Returns the most frequent delimiter outside quotes in the first line, or a comma if there is
/// none.
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
    use crate::import::column_inference::ColumnRoles;

    fn parsed(bytes: &[u8]) -> Result<Table, String> {
        parse("t.csv", bytes, &mut Memory::with_limit(1 << 20))
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(table) = parsed(&bytes) {
                let _ = ColumnRoles::infer(&table);
            }
        }

        #[test]
        fn no_text_of_quotes_and_separators_panics(text in "[a,;\t\"\n\r01é]{0,80}") {
            if let Ok(table) = parsed(text.as_bytes()) {
                let _ = ColumnRoles::infer(&table);
            }
        }
    }

    #[test]
    fn quotes_hold_separators_and_line_breaks() {
        let table = parsed(b"text,label\n\"a, \"\"b\"\"\nc\",x\nd,y\n").unwrap();
        assert_eq!(table.header.unwrap(), ["text", "label"]);
        assert_eq!(table.records[0].cells, ["a, \"b\"\nc", "x"]);
        assert_eq!((table.records[0].line, table.records[1].line), (2, 4));
    }

    #[test]
    fn semicolons_tabs_and_a_byte_order_mark_are_detected() {
        let table = parsed(b"\xef\xbb\xbflabel;text\nx;a, b\ny;c\n").unwrap();
        assert_eq!(table.header.unwrap(), ["label", "text"]);
        assert_eq!(table.records[0].cells, ["x", "a, b"]);
        assert_eq!(parsed(b"label\ttext\n1\ta\n").unwrap().records[0].cells, ["1", "a"]);
    }

    #[test]
    fn bad_rows_are_reported_by_line() {
        let table = parsed(b"text,label\na,x\nb\nc,y,z\n\xff,x\nd,y\n").unwrap();
        assert_eq!(table.records.len(), 2);
        let bad: Vec<String> = table.bad.first.iter().map(ToString::to_string).collect();
        assert_eq!(
            bad,
            [
                "t.csv line 3: it has 1 column, but the other rows have 2; add the missing values, or remove the row",
                "t.csv line 4: it has 3 columns, but the other rows have 2; put values that contain a separator in quotes",
                "t.csv line 5: it is not UTF-8; save the file as UTF-8",
            ]
        );
    }

    /// Endless bytes.
    fn endless(start: &'static [u8], rest: &'static [u8]) -> impl BufRead {
        struct Repeat(&'static [u8], usize);
        impl Read for Repeat {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                for byte in buffer.iter_mut() {
                    *byte = self.0[self.1 % self.0.len()];
                    self.1 += 1;
                }
                Ok(buffer.len())
            }
        }
        BufReader::new(start.chain(Repeat(rest, 0)))
    }

    #[test]
    fn an_endless_field_is_refused_at_its_line() {
        for rest in [&b"x"[..], b"\n"] {
            let file = endless(b"text,label\na,b\n\"c", rest);
            let error = parse("t.csv", file, &mut Memory::with_limit(1 << 20)).unwrap_err();
            assert!(error.starts_with("line 3: this row is longer than 16 MiB"), "{error}");
            assert!(error.ends_with("is a closing quote missing?"), "{error}");
        }
    }

    #[test]
    fn endless_rows_and_columns_are_refused() {
        let rows = endless(b"text,label\n", b"a,b\n");
        let error = parse("t.csv", rows, &mut Memory::with_limit(1 << 20)).unwrap_err();
        assert!(error.contains("more than 1 MiB of memory"), "{error}");
        let columns = endless(b"text,label\n", b"a,");
        let error = parse("t.csv", columns, &mut Memory::with_limit(64 << 20)).unwrap_err();
        assert!(error.contains("longer than 16 MiB"), "{error}");
        let wide = [vec![b','; 20_000], b"\n".to_vec()].concat();
        assert!(parsed(&wide).unwrap_err().contains("20000 columns"));
    }
}
