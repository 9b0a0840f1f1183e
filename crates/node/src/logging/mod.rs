//! Logging to standard error and, for the app, also to a file, because the app has no visible standard error.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

mod fields;
mod file;

use fields::EscapedFields;
pub use file::LOG_FILE;
use file::LogFile;

/// Starts logging of the entries that pass `filter`.
///
/// # Errors
/// The filter is invalid.
pub fn start(filter: &str) -> anyhow::Result<()> {
    begin(filter, None)
}

/// Like [`start`], but also writes to [`LOG_FILE`] in `folder`, including panics. If the file can't be opened,
/// logs only to standard error.
///
/// # Errors
/// The filter is invalid.
pub fn start_with_file(filter: &str, folder: &Path) -> anyhow::Result<()> {
    match LogFile::open(folder) {
        Ok(file) => begin(filter, Some(file))?,
        Err(error) => {
            begin(filter, None)?;
            tracing::warn!(%error, folder = %folder.display(), "can't write the log file");
        }
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}

/// Returns the log folder of an app with this `--data-dir`.
///
/// # Errors
/// No `--data-dir` is given and there is no home folder.
pub fn folder(data_dir: Option<&Path>) -> Result<PathBuf, platform::folders::NoHome> {
    match data_dir {
        Some(folder) => Ok(folder.join("log")),
        None => platform::folders::logs(),
    }
}

fn begin(filter: &str, file: Option<LogFile>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("CONSTELLATION_LOG: '{filter}' is not a filter such as info or warn,worker=debug")
    })?;
    // The file's layer comes first, because the other layer reuses its formatting of spans, without colors.
    let in_file = file.map(|file| {
        fmt::layer().fmt_fields(EscapedFields).with_writer(Mutex::new(file)).with_ansi(false)
    });
    let on_screen = fmt::layer()
        .fmt_fields(EscapedFields)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second call, as in tests in one process, keeps the first logger.
    drop(tracing_subscriber::registry().with(filter).with(in_file).with(on_screen).try_init());
    Ok(())
}
