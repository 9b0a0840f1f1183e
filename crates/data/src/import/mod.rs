//! Import of people's files: CSV, JSON and Parquet, folders of images and of texts, and archives of them. A
//! file's type is detected from its content, and a plan tells every decision.

mod assemble;
mod bad_row;
mod class_folders;
mod content;
mod files;
mod image_files;
mod image_rows;
mod import_file;
mod kind;
mod label_table;
mod limits;
mod parquet_images;
mod read;
mod row_error;
mod rows;
mod source_files;
mod split_names;
mod table_files;
mod tables;
mod text_files;
mod unpack;
mod unreadable;

pub use bad_row::BadRow;
pub use import_file::{AddReport, ImportFile};
pub use limits::ReadLimits;
pub(crate) use read::inspect;
pub use read::{read, read_file};
