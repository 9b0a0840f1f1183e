//! Bounds of each format. Each file would import, or fail in another way, without its bound.

use std::fmt::Write as _;
use std::fs;

use data::{ImportFile, ReadLimits, read_file};
use protocol::dataset::import::{DatasetTask, FileRole, ImportOptions, TestSplit};
use tempfile::TempDir;

use super::case::{ab, lines};
use super::{parquet, workbook};

/// Length of a line that is longer than a row may be.
const LONG: usize = 17 << 20;
/// Number of columns that is more than a table may have.
const WIDE: usize = 20_001;
/// Memory limit that a test file exceeds.
const MEMORY: u64 = 1 << 20;

/// Returns the reason for the refusal of a file.
fn refusal(file: &str, bytes: &[u8], options: &ImportOptions, memory: u64) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, bytes).unwrap();
    let files = [ImportFile { path, role: FileRole::Data }];
    let limits = ReadLimits { memory, ..ReadLimits::default() };
    match read_file("case", &files, options, limits, &mut |_| {}) {
        Ok((dataset, _)) => panic!("{file} was imported: {:?}", dataset.info),
        Err(error) => error.to_string(),
    }
}

fn check(file: &str, bytes: impl AsRef<[u8]>, memory: u64, reason: &str) {
    let found = refusal(file, bytes.as_ref(), &ImportOptions::default(), memory);
    assert!(found.contains(reason), "{file}: {found}");
}

fn unlimited() -> u64 {
    ReadLimits::default().memory
}

/// Options of a text without labels.
fn language() -> ImportOptions {
    ImportOptions {
        task: Some(DatasetTask::Language),
        test_split: Some(TestSplit::Tail),
        ..ImportOptions::default()
    }
}

/// Returns 2 MiB of rows, in short lines. A row of a table has a label.
fn heavy(line: impl Fn(usize, &str) -> String) -> String {
    let words = "words ".repeat(170);
    lines(2048, |n| line(n, &words))
}

#[test]
fn the_longest_row_of_delimited_text() {
    let rows = lines(24, |n| format!("words of row {n},{}\n", ab(n)));
    let file = format!("text,label\n{rows}{},a\n", "x".repeat(LONG));
    check("x.csv", file, unlimited(), "line 26 is longer than 16 MiB");
}

#[test]
fn the_longest_row_of_json_lines() {
    let row =
        |n: usize, text: &str| format!("{{\"text\":\"{text} {n}\",\"label\":\"{}\"}}\n", ab(n));
    let file = format!("{}{}", lines(24, |n| row(n, "words")), row(24, &"x".repeat(LONG)));
    check("x.jsonl", file, unlimited(), "line 25 is longer than 16 MiB");
}

#[test]
fn the_longest_object_of_a_json_document() {
    // Lines are short, so that the object alone is too long.
    let texts = lines(LONG / 1024, |_| format!("\"{}\",\n", "x".repeat(1020)));
    let file = format!("[\n{{\"text\":\n[\n{texts}\"\"],\n\"label\":\"a\"\n}}\n]\n");
    check("x.json", file, unlimited(), "the object at line 2 is longer than 16 MiB");
}

#[test]
fn the_longest_line_of_plain_text() {
    let file = format!("{}{}\n", lines(24, |n| format!("line {n}\n")), "x".repeat(LONG));
    let found = refusal("x.txt", file.as_bytes(), &language(), unlimited());
    assert!(found.contains("line 25 is longer than 16 MiB"), "{found}");
}

#[test]
fn the_most_columns_of_delimited_text() {
    let row = |n: usize| format!("words of row {n},{}{}\n", ab(n), ",1".repeat(WIDE - 2));
    check("x.csv", lines(6, row), unlimited(), "more than 20000 columns");
}

#[test]
fn the_most_columns_of_json_lines() {
    let row = |n: usize| {
        let mut text = format!("{{\"text\":\"words of row {n}\",\"label\":\"{}\"", ab(n));
        (2..WIDE).for_each(|at| write!(text, ",\"c{at}\":1").unwrap());
        text + "}\n"
    };
    check("x.jsonl", lines(6, row), unlimited(), "more than 20000 columns");
}

#[test]
fn the_most_columns_of_a_json_document() {
    let column = |at: usize| format!(",\"c{at}\":[1,2,3,4]");
    let more = lines(WIDE - 1, column);
    let file = format!("{{\"label\":[\"a\",\"b\",\"a\",\"b\"]{more}}}");
    check("x.json", file, unlimited(), "more than 20000 columns");
}

#[test]
fn the_most_columns_of_a_parquet_file() {
    let more = lines(WIDE - 2, |at| format!("required int32 c{at};"));
    let columns = format!("required binary text (UTF8); required int64 label; {more}");
    check("x.parquet", parquet::file(&columns), unlimited(), "more than 20000 columns");
}

#[test]
fn the_most_columns_of_a_workbook() {
    // The columns between are empty, and so not in the file.
    check("x.xlsx", workbook::with_cell_at("ACOG1"), unlimited(), "more than 20000 columns");
}

#[test]
fn the_memory_for_delimited_text() {
    let rows = heavy(|n, words| format!("{words}{n},{}\n", ab(n)));
    check("x.csv", format!("text,label\n{rows}"), MEMORY, "more than 1 MiB of memory");
}

#[test]
fn the_memory_for_json_lines() {
    let row =
        |n: usize, words: &str| format!("{{\"text\":\"{words}{n}\",\"label\":\"{}\"}}\n", ab(n));
    check("x.jsonl", heavy(row), MEMORY, "more than 1 MiB of memory");
}

#[test]
fn the_memory_for_a_json_document() {
    // The rows alone would fit, but not the document, which is read at once.
    let column = |value: fn(usize) -> String| (0..200).map(value).collect::<Vec<_>>().join(",");
    let texts = column(|n| format!("\"{}{n}\"", "words ".repeat(100)));
    let labels = column(|n| format!("\"{}\"", ab(n)));
    let file = format!("{{\"text\":[{texts}],\"label\":[{labels}]}}");
    assert!((file.len() as u64) < MEMORY / 4);
    check("x.json", file, MEMORY, "more than 1 MiB of memory");
}

#[test]
fn the_memory_for_a_parquet_file() {
    // Blank texts are no rows, so only their cells count. A dictionary holds them once.
    let file = parquet::repeated(&" ".repeat(4096), 2048);
    assert!((file.len() as u64) < MEMORY / 8, "{}", file.len());
    check("x.parquet", file, MEMORY, "more than 1 MiB of memory");
}

#[test]
fn the_memory_for_a_workbook() {
    let words = "words ".repeat(170);
    let rows = (0..2048).map(|n| vec![format!("{words}{n}"), ab(n).to_owned()]);
    let header = ["text", "label"].map(str::to_owned).to_vec();
    let sheet = std::iter::once(header).chain(rows).collect();
    let file = workbook::workbook(&[("Sheet1", sheet)]);
    check("x.xlsx", file, MEMORY, "more than 1 MiB of memory");
}

#[test]
fn the_memory_for_plain_text() {
    let file = heavy(|n, words| format!("{words}{n}\n"));
    let found = refusal("x.txt", file.as_bytes(), &language(), MEMORY);
    assert!(found.contains("more than 1 MiB of memory"), "{found}");
}

/// The first pass holds the different values of each column, also of those that are not imported.
#[test]
fn the_memory_for_the_values_of_columns() {
    let columns = 400;
    let header: Vec<String> = (0..columns).map(|at| format!(",c{at}")).collect();
    let header = header.concat();
    let row = |n: usize| {
        let more = lines(columns, |at| format!(",{}{at}-{n}", "v".repeat(90)));
        format!("words of row {n},{}{more}\n", ab(n))
    };
    let file = format!("text,label{header}\n{}", lines(24, row));
    check("x.csv", file, MEMORY, "more than 1 MiB of memory");
}
