//! How long a coordinator, a worker or a demo runs: until it is told to end.

use std::io::Read;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by Ctrl-C, SIGTERM or the terminal's end.
///
/// # Errors
/// Where the system won't tell of signals.
pub fn until_signal() -> std::io::Result<CancellationToken> {
    until_told(false)
}

/// Cancelled by Ctrl-C, SIGTERM or the terminal's end, and with `with_parent` also when standard
/// input ends: then the process that started this one is gone, however it went. Signals are heard
/// from here on.
///
/// # Errors
/// Where the system won't tell of signals.
pub(super) fn until_told(with_parent: bool) -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let told = CancellationToken::new();
    let stop = told.clone();
    tokio::spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
            _ = hang_up.recv() => "SIGHUP",
        };
        tracing::info!(signal, "ending");
        stop.cancel();
    });
    if with_parent {
        let stop = told.clone();
        // A thread of its own: a read of standard input can't be cancelled, and must not hold up
        // the runtime's end.
        std::thread::spawn(move || {
            let mut nothing = [0; 64];
            while std::io::stdin().read(&mut nothing).is_ok_and(|length| length > 0) {}
            stop.cancel();
        });
    }
    Ok(told)
}
