//! The one way to the standard streams: results on standard output, everything else on standard
//! error.
//!
//! What is shown holds names that others chose, on this machine or another one, under this version or an earlier
//! one. So everything that goes through here is escaped ([`protocol::text`]), and a name can neither steer
//! the terminal nor begin a line of its own.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use protocol::text::{Escaped, escaped, escaped_json};
use serde::Serialize;

/// One line of result, escaped.
///
/// # Errors
/// Where nobody reads any more, or the disk behind a redirection is full.
pub fn line(text: impl Display) -> io::Result<()> {
    write(Escaped(text))
}

/// Several lines of result, each escaped.
///
/// # Errors
/// As [`line`].
pub fn lines(text: &str) -> io::Result<()> {
    text.lines().try_for_each(line)
}

fn write(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// One result as one line of JSON.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    write(escaped_json(&serde_json::to_string(value)?))
}

/// One line for people, beside the result, escaped. Nobody reading it is no error.
pub fn note(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "{}", Escaped(text)));
}

/// The one line that a failure gets.
pub fn error(error: &anyhow::Error) {
    note(format_args!("error: {}", one_line(&with_causes(error))));
}

/// Whether a person sees standard error as it is written: then progress is drawn in place.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// A list as columns under headings, two spaces apart.
///
/// # Errors
/// As [`line`].
pub fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let rows: Vec<[String; COLUMNS]> =
        rows.iter().map(|row| row.each_ref().map(|cell| escaped(cell))).collect();
    let mut widths = headings.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_row(&headings.map(str::to_owned), &widths)?;
    rows.iter().try_for_each(|row| write_row(row, &widths))
}

fn write_row(cells: &[String], widths: &[usize]) -> io::Result<()> {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    line(padded.join("  ").trim_end())
}

/// The error and what caused it, each said once: most of our errors already tell their cause.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = anyhow::anyhow!("no such file");
        let error = cause.context("can't read a.toml: no such file").context("can't start");
        assert_eq!(with_causes(&error), "can't start: can't read a.toml: no such file");
    }

    #[test]
    fn an_error_of_many_lines_is_told_in_one() {
        assert_eq!(one_line("a\n  b\n\nc\n"), "a b c");
    }
}
