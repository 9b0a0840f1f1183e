//! Output to the standard streams: results go to standard output, everything else to standard error.
//!
//! Output contains names from other people, machines and versions. All text is escaped ([`protocol::text`]), so
//! that a name can neither control the terminal nor start a new line.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use platform::OutputFile;
use protocol::text::{Escaped, escaped, escaped_json, without_error_numbers};
use serde::Serialize;

/// Whether standard output carries a file, so that results go to standard error.
static STDOUT_IS_FILE: AtomicBool = AtomicBool::new(false);

/// Opens the output file that the user named. If it is standard output, this process prints its results to standard
/// error from now on.
///
/// # Errors
/// The same as for [`OutputFile::open`].
pub fn open_file(path: &Path) -> io::Result<OutputFile> {
    let file = OutputFile::open(path)?;
    if file.is_stdout() {
        STDOUT_IS_FILE.store(true, Ordering::Relaxed);
    }
    Ok(file)
}

/// Writes the whole content of an output file that the user named.
///
/// # Errors
/// The same as for [`OutputFile::open`] and [`OutputFile::commit`].
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_file(path)?;
    file.write_all(bytes)?;
    file.commit().map(drop)
}

/// Prints one line of the result, escaped.
///
/// # Errors
/// Fails if the pipe is closed, or if output is redirected to a full disk.
pub fn line(text: impl Display) -> io::Result<()> {
    write(Escaped(text))
}

/// Prints several lines of the result, each escaped.
///
/// # Errors
/// The same as for [`line`].
pub fn lines(text: &str) -> io::Result<()> {
    text.lines().try_for_each(line)
}

fn write(text: impl Display) -> io::Result<()> {
    if STDOUT_IS_FILE.load(Ordering::Relaxed) {
        return writeln!(io::stderr().lock(), "{text}");
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints a result as one line of JSON.
///
/// # Errors
/// The same as for [`line`].
pub fn json(value: &impl Serialize) -> io::Result<()> {
    write(escaped_json(&serde_json::to_string(value)?))
}

/// Prints one escaped line for people to standard error, without the numbers of system errors. Ignores write errors.
pub fn note(text: impl Display) {
    let text = without_error_numbers(&text.to_string());
    drop(writeln!(io::stderr().lock(), "{}", Escaped(text)));
}

/// Prints the error, if there is one, and returns the exit code of the command. A reader that closes the pipe, as
/// `head` does, is no error.
pub fn exit_code(result: &anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if is_closed_pipe(failure) => ExitCode::SUCCESS,
        Err(failure) => {
            error(failure);
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

/// Waits until nobody can read standard output any more, and returns the error of writing to it. Commands that follow
/// something end with it, even if there is nothing to print.
///
/// # Errors
/// Always, with [`io::ErrorKind::BrokenPipe`].
pub async fn closed<T>() -> io::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A separate thread: the wait can't be canceled and would block the shutdown of the runtime.
    std::thread::spawn(move || {
        if platform::output_file::wait_until_stdout_closes().is_ok() {
            sender.send(()).ok();
        }
    });
    if receiver.await.is_err() {
        // The wait is not possible. Writing still detects a closed pipe.
        std::future::pending::<()>().await;
    }
    Err(io::ErrorKind::BrokenPipe.into())
}

/// Prints an error as one line.
pub fn error(error: &anyhow::Error) {
    note(format_args!("error: {}", one_line(&with_causes(error))));
}

/// Prints a warning as one line.
pub fn warning(text: impl Display) {
    note(format_args!("warning: {text}"));
}

/// Returns whether standard error is a terminal, so that live progress can be shown.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Prints a table with headings; columns are separated by two spaces.
///
/// # Errors
/// The same as for [`line`].
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

/// Joins the error and its causes. Causes that the text contains already are skipped.
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
