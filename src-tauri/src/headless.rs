//! Without a display: everything but the windows, until a signal comes.

use node::app::single_instance::SingleInstance;
use node::app::{App, Options};
use tokio::runtime::Runtime;

/// Runs until Ctrl-C, SIGTERM or the terminal's end.
///
/// # Errors
/// Where the settings, the app's folder or the link can't be used.
pub fn run(
    options: Options,
    instance: Option<SingleInstance>,
    link: Option<&str>,
    runtime: &Runtime,
    reason: &str,
) -> anyhow::Result<()> {
    tracing::warn!(reason, "no window and no menu-bar icon can be shown; the rest works");
    runtime.block_on(async {
        let told = node::until_signal()?;
        let app = App::start(options, tokio::runtime::Handle::current())?;
        if let Some(instance) = instance {
            let words = format!(
                "Constellation runs already, and can show nothing: {reason}. To join a cluster, \
                 quit it and start it again with the link."
            );
            instance.serve(&tokio::runtime::Handle::current(), move |_| Err(words.clone()));
        }
        // Nobody reads a note here: a link that can't be used ends the program.
        let joined = link.map_or(Ok(()), |link| app.join_without_windows(link));
        if joined.is_ok() {
            told.cancelled().await;
        }
        app.stop().await;
        joined.map_err(anyhow::Error::msg)
    })
}
