//! `constellation demo`: a whole cluster on this machine, as processes of their own, that trains
//! one job and leaves nothing behind.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use protocol::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lifetime;
use crate::output;
use crate::settings::{BackendSetting, Settings};

mod chaos;
mod fleet;
mod play;
mod process;
mod screen;
mod summary;
mod task;

use chaos::Chaos;
use fleet::{Fleet, LEASE_SECONDS};
use play::Play;
use screen::Screen;
use summary::Summary;

#[derive(Debug, Args)]
pub struct DemoArguments {
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    workers: u8,
    /// As `dataset list` shows them
    #[arg(long, default_value = "synthetic")]
    dataset: String,
    /// [default: the model family's]
    #[arg(long)]
    rounds: Option<u32>,
    /// Run this job file instead of the dataset's usual job
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dataset", "rounds"])]
    job: Option<PathBuf>,
    #[arg(long, value_enum)]
    backend: Option<BackendSetting>,
    /// Kill workers, trainers and the coordinator while they work; the model is the same
    #[arg(long)]
    chaos: bool,
    /// Who is killed when; drawn anew where none is given
    #[arg(long, requires = "chaos", hide = true)]
    chaos_seed: Option<u64>,
    /// Keep the folder with logs, job file and data
    #[arg(long)]
    keep: bool,
    /// Print results as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: DemoArguments, settings: Settings) -> anyhow::Result<()> {
    let told = lifetime::until_told(false)?;
    let folder = tempfile::Builder::new()
        .prefix("constellation-demo-")
        .tempdir()
        .context("can't make a temporary folder")?;
    let outcome = in_folder(folder.path(), &arguments, settings, &told).await;
    if arguments.keep {
        output::note(format_args!("kept: {}", folder.keep().display()));
    } else {
        forget_keys(folder.path(), usize::from(arguments.workers));
        folder.close().context("can't remove the demo's folder")?;
    }
    let (summary, missing) = outcome?;
    if arguments.json {
        output::json(&summary)?;
    } else {
        output::line(&summary)?;
    }
    match missing {
        Some(missing) => bail!("chaos did not hit what it should: {missing}; give more --rounds"),
        None => Ok(()),
    }
}

/// Leaves nothing behind: on a Mac the workers' keys are in the Keychain, not in their folders.
fn forget_keys(folder: &Path, workers: usize) {
    for folder in (0..workers).map(|number| fleet::worker_folder(folder, number)) {
        // One that never started has none.
        if folder.exists()
            && let Err(error) = worker::forget(&folder)
        {
            tracing::warn!(%error, folder = %folder.display(), "a worker's key is left over");
        }
    }
}

/// The demo in a folder that is there; every process is gone at its end.
async fn in_folder(
    folder: &Path,
    arguments: &DemoArguments,
    settings: Settings,
    told: &CancellationToken,
) -> anyhow::Result<(Summary, Option<String>)> {
    let workers = usize::from(arguments.workers);
    let screen = Screen::new(workers, arguments.json)?;
    tell_places(&screen, folder);
    let chaos = arguments.chaos.then(|| {
        let seed = arguments.chaos_seed.unwrap_or_else(any_seed);
        screen.note(format_args!("chaos seed {seed}"));
        Chaos::new(seed, workers, LEASE_SECONDS)
    });
    let backend = settings.backend.under(arguments.backend).value;
    let (heard, hear) = mpsc::unbounded_channel();
    let fleet = Fleet::new(folder, workers, backend, heard);
    let mut play = Play::new(folder, fleet, hear, screen, chaos);
    let outcome = tokio::select! {
        biased;
        () = told.cancelled() => Err(anyhow!("ended by a signal")),
        outcome = play.run(arguments) => outcome,
    };
    play.end().await;
    outcome
}

/// What the demo writes and reads outside its folder.
fn tell_places(screen: &Screen, folder: &Path) {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    screen.note(format_args!("folder: {} (removed at the end)", folder.display()));
    match variable("CONSTELLATION_DATA_DIR") {
        Some(dir) => screen.note(format_args!(
            "datasets: {} (CONSTELLATION_DATA_DIR), else downloads",
            Path::new(&dir).display()
        )),
        None => screen.note("datasets: downloads (CONSTELLATION_DATA_DIR is not set)"),
    }
    match variable("HF_HOME") {
        Some(dir) => {
            screen.note(format_args!("cache of downloads: {}", Path::new(&dir).display()));
        }
        None => screen.note("cache of downloads: ~/.cache/huggingface"),
    }
    if let Ok(cache) = platform::folders::cache() {
        screen.note(format_args!("cache of GPU code: {}", cache.display()));
    }
}

fn any_seed() -> u64 {
    // The low half of a UUIDv7 is random; small numbers are easier to give again.
    uuid::Uuid::now_v7().as_u64_pair().1 % 1_000_000
}

/// Now, by the wall clock.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
