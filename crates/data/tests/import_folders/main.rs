//! Images, archives and folders as people have them. Expected values come from how the bytes are made here.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    reason = "the functions around the tests are tests too"
)]

mod case;
mod field;
mod folders;
mod images;
mod make;
mod refusals;
mod several_files;
