//! Stop signals of a coordinator, a worker or a demo.

use std::io::Read;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that is canceled by SIGINT (Ctrl-C), SIGTERM or SIGHUP.
///
/// # Errors
/// Fails if the signal handlers can't be installed.
pub fn until_signal() -> std::io::Result<CancellationToken> {
    until_stopped(false)
}

/// Returns a token that is canceled by SIGINT (Ctrl-C), SIGTERM or SIGHUP, and with `with_parent` also at the end of
/// standard input, which is how a child process detects that its parent has exited. Installs the signal handlers.
///
/// # Errors
/// Fails if the signal handlers can't be installed.
pub(super) fn until_stopped(with_parent: bool) -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hang_up.recv() => "SIGHUP",
        };
        tracing::info!(signal, "stopping on a signal");
        stop.cancel();
    });
    if with_parent {
        let stop = token.clone();
        // A separate thread: a read of standard input can't be canceled and would block the shutdown of the runtime.
        std::thread::spawn(move || {
            let mut ignored = [0; 64];
            while std::io::stdin().read(&mut ignored).is_ok_and(|length| length > 0) {}
            stop.cancel();
        });
    }
    Ok(token)
}
