//! Without a display: everything but the windows, until a signal comes.

use node::app::{App, Options};
use tokio::runtime::Runtime;

/// Runs until Ctrl-C, SIGTERM or the terminal's end.
///
/// # Errors
/// Where the settings, the app's folder or the link can't be used.
pub fn run(
    options: Options,
    link: Option<&str>,
    runtime: &Runtime,
    reason: &str,
) -> anyhow::Result<()> {
    tracing::warn!(reason, "no window and no menu-bar icon can be shown; the rest works");
    runtime.block_on(async {
        let told = node::until_signal()?;
        let app = App::start(options, tokio::runtime::Handle::current())?;
        // Nobody reads a note here: a link that is none ends the program.
        let joined = link.map_or(Ok(()), |link| app.join(link));
        if joined.is_ok() {
            told.cancelled().await;
        }
        app.stop().await;
        joined.map_err(anyhow::Error::msg)
    })
}
