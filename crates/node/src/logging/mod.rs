//! The log: on standard error, and of the app in a file too, because nobody sees what an app says there.

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

/// Logs what passes `filter` from here on.
///
/// # Errors
/// Where the filter can't be read.
pub fn start(filter: &str) -> anyhow::Result<()> {
    begin(filter, None)
}

/// As [`start`], and into [`LOG_FILE`] in `folder`, where panics are found too. Where that can't be written,
/// the rest goes on.
///
/// # Errors
/// Where the filter can't be read.
pub fn start_with_file(filter: &str, folder: &Path) -> anyhow::Result<()> {
    match LogFile::open(folder) {
        Ok(file) => begin(filter, Some(file))?,
        Err(error) => {
            begin(filter, None)?;
            tracing::warn!(%error, folder = %folder.display(), "no log file can be written");
        }
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}

/// Where the log of an app with this `--data-dir` is.
///
/// # Errors
/// Where neither it nor a home folder is there.
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
    // The file's first: what it makes of a span, without colours, is what the other takes too.
    let in_file = file.map(|file| {
        fmt::layer().fmt_fields(EscapedFields).with_writer(Mutex::new(file)).with_ansi(false)
    });
    let on_screen = fmt::layer()
        .fmt_fields(EscapedFields)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second call, as in tests of one process, keeps the first log.
    drop(tracing_subscriber::registry().with(filter).with(in_file).with(on_screen).try_init());
    Ok(())
}
