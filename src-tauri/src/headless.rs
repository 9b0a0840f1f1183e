//! App without a display: all parts except the windows, until a signal arrives.

use node::app::single_instance::SingleInstance;
use node::app::{App, Options};
use tokio::runtime::Runtime;

/// Runs until Ctrl-C, SIGTERM or the terminal closes.
///
/// # Errors
/// The settings, the app's folder or the link can't be used.
pub(crate) fn run(
    options: Options,
    instance: Option<SingleInstance>,
    link: Option<&str>,
    runtime: &Runtime,
    reason: &str,
) -> anyhow::Result<()> {
    tracing::warn!(reason, "can't show windows or the menu-bar icon; all other functions work");
    runtime.block_on(async {
        let told = node::until_signal()?;
        let app = App::start(options, tokio::runtime::Handle::current())?;
        if let Some(instance) = instance {
            let words = format!(
                "Constellation is already running without a display: {reason}. To join a cluster, \
                 quit it and start it again with the link."
            );
            instance.serve(&tokio::runtime::Handle::current(), move |_| Err(words.clone()));
        }
        // Notes are not displayed here, so an invalid link ends the program.
        let joined = link.map_or(Ok(()), |link| app.join_without_windows(link));
        if joined.is_ok() {
            told.cancelled().await;
        }
        app.stop().await;
        joined.map_err(anyhow::Error::msg)
    })
}
