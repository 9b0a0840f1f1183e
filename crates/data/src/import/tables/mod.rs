//! Tables: delimited text, JSON, workbooks, Parquet and plain text. A first pass over a file describes its
//! columns, the plan gives them roles, and a second pass reads only the columns that have one.

mod classes;
mod delimited;
mod dialect;
mod encoding;
mod gather;
mod header;
mod json;
mod json_document;
mod known_values;
mod lines;
mod names;
mod open;
mod parquet;
mod pixels;
mod plain_text;
mod plan;
mod profile;
mod questions;
mod roles;
mod rows;
mod source;
mod visit;
mod workbook;

pub(super) use gather::gather;
pub(super) use names::label_by_name;
pub(super) use parquet::text as cell_text;
