//! Without a display: everything but the windows, until a signal comes.

use node::app::{App, Options};
use tokio::runtime::Runtime;

/// Runs until Ctrl-C, SIGTERM or the terminal's end.
///
/// # Errors
/// Where the settings or the app's folder can't be used.
pub fn run(options: Options, runtime: &Runtime, reason: &str) -> anyhow::Result<()> {
    tracing::warn!(reason, "no window and no menu-bar icon can be shown; the rest works");
    runtime.block_on(async {
        let told = node::until_signal()?;
        let app = App::start(options, tokio::runtime::Handle::current())?;
        told.cancelled().await;
        app.stop().await;
        Ok(())
    })
}
