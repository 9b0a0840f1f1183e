//! Import of people's files: CSV, JSON and Parquet, also in gzip or zip, and folders or zips of images. A
//! file's type is detected from its content, and a plan tells every decision.

mod assemble;
mod bad_row;
mod files;
mod images;
mod import_file;
mod kind;
mod limits;
mod parquet_table;
mod read;
mod row_error;
mod rows;
mod split_names;
mod tables;
mod unpack;
mod unreadable;

pub use bad_row::BadRow;
pub use import_file::{AddReport, ImportFile};
pub use limits::ReadLimits;
pub use read::read_file;
pub(crate) use read::{inspect, read, shown};
