//! The log, on standard error.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Logs what passes `filter` from here on.
///
/// # Errors
/// Where the filter can't be read.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("CONSTELLATION_LOG: '{filter}' is not a filter such as info or warn,worker=debug")
    })?;
    // A second call, as in tests of one process, keeps the first log.
    drop(
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .try_init(),
    );
    Ok(())
}
