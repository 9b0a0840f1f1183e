//! Tables as people have them. Each case names the report that it stands for, and its expected values come from how
//! the bytes were made.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "the functions around the tests are tests too"
)]

mod case;
mod delimited;
mod encodings;
mod headers;
mod json;
mod labels;
mod limits;
mod parquet;
mod refused;
mod several_files;
mod texts_and_pixels;
mod workbook;

#[test]
fn delimited_text() {
    case::check(delimited::cases());
}

#[test]
fn headers_of_tables() {
    case::check(headers::cases());
}

#[test]
fn labels_and_missing_values() {
    case::check(labels::cases());
}

#[test]
fn json_files() {
    case::check(json::cases());
}

#[test]
fn encodings_of_text() {
    case::check(encodings::cases());
}

#[test]
fn texts_without_labels_and_pixels() {
    case::check(texts_and_pixels::cases());
}

#[test]
fn parquet_columns() {
    case::check(parquet::cases());
}

#[test]
fn workbooks() {
    case::check(workbook::cases());
}

#[test]
fn several_files_of_one_dataset() {
    case::check(several_files::cases());
}

#[test]
fn a_refusal_names_the_flag_that_imports_the_same_bytes() {
    let cases = refused::cases();
    assert!(cases.len() <= 11, "{} refusals", cases.len());
    refused::check(cases);
}

#[test]
fn there_are_enough_cases() {
    let groups = [
        delimited::cases(),
        headers::cases(),
        labels::cases(),
        json::cases(),
        encodings::cases(),
        texts_and_pixels::cases(),
        parquet::cases(),
        several_files::cases(),
        workbook::cases(),
    ];
    let count: usize = groups.iter().map(Vec::len).sum();
    assert!(count + refused::cases().len() >= 110, "{count}");
}
