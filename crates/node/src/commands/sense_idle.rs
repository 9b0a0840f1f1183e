//! Hidden command `sense-idle`: the idle helper of the app and the worker, macOS only. It runs in a process
//! without an async runtime, because it may have only one thread.

use anyhow::Context;

pub(super) fn run() -> anyhow::Result<()> {
    platform::sensors::idle_helper::serve_idle_time().context("can't read the idle time")
}
