//! `constellation demo`: runs a cluster on this machine as separate processes, trains one job and removes its files.

use std::path::Path;

use anyhow::{Context, anyhow};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::local_cluster::{LocalCluster, LocalClusterOptions};
use super::{lifetime, local_cluster};
use crate::output;
use crate::settings::Settings;

mod arguments;
mod chaos;
mod locations;
mod play;
mod screen;
mod summary;
mod task;

pub(super) use arguments::DemoArguments;
use chaos::Chaos;
use locations::note_locations;
use play::Play;
use screen::Screen;
use summary::Summary;

/// Short, so that lost leases expire within the demo.
const LEASE_TIMEOUT_SECONDS: u32 = 5;

pub(super) async fn run(arguments: DemoArguments, settings: Settings) -> anyhow::Result<()> {
    let stop = lifetime::until_stopped(false)?;
    let folder = tempfile::Builder::new()
        .prefix("constellation-demo-")
        .tempdir()
        .context("can't create a temporary folder")?;
    let outcome = run_in(folder.path(), &arguments, settings, &stop).await;
    if arguments.keep {
        output::note(format_args!("kept folder: {}", folder.keep().display()));
    } else {
        forget_keys(folder.path(), usize::from(arguments.workers));
        folder.close().context("can't remove the demo's folder")?;
    }
    let summary = outcome?;
    if arguments.json {
        output::json(&summary)?;
    } else {
        output::line(&summary)?;
    }
    Ok(())
}

/// Deletes the workers' keys, which macOS keeps in the Keychain instead of the workers' folders.
fn forget_keys(folder: &Path, workers: usize) {
    for folder in (0..workers).map(|number| local_cluster::worker_folder(folder, number)) {
        // A worker that never started has no key.
        if folder.exists()
            && let Err(error) = worker::forget(&folder)
        {
            tracing::warn!(%error, folder = %folder.display(), "can't delete the key of a demo worker");
        }
    }
}

/// Runs the demo in an existing folder. All processes have exited when it returns.
async fn run_in(
    folder: &Path,
    arguments: &DemoArguments,
    settings: Settings,
    stop: &CancellationToken,
) -> anyhow::Result<Summary> {
    let workers = usize::from(arguments.workers);
    let screen = Screen::new(workers, arguments.json)?;
    note_locations(&screen, folder);
    let chaos = arguments.chaos.then(|| {
        let seed = arguments.chaos_seed.unwrap_or_else(random_seed);
        screen.note(format_args!("chaos seed: {seed}"));
        Chaos::new(seed, workers)
    });
    let backend = settings.backend.under(arguments.backend).value;
    let (sender, events) = mpsc::unbounded_channel();
    let options = LocalClusterOptions {
        name: "demo",
        workers,
        backend,
        lease_timeout_seconds: LEASE_TIMEOUT_SECONDS,
    };
    let cluster = LocalCluster::new(folder, options, sender);
    let mut play = Play::new(folder, cluster, events, screen, chaos);
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(anyhow!("stopped by a signal")),
        outcome = play.run(arguments) => outcome,
    };
    play.end().await;
    outcome
}

fn random_seed() -> u64 {
    // The low half of a UUIDv7 is random. Small numbers are easier to type again.
    uuid::Uuid::now_v7().as_u64_pair().1 % 1_000_000
}
