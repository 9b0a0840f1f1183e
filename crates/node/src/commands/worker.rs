//! `constellation worker`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use protocol::Pin;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::Status;

use super::{lifetime, status_words};
use crate::settings::{BackendChoice, Settings, data_dir};
use crate::{CommandContext, discovery, output};

#[derive(Debug, Args)]
pub struct WorkerArguments {
    /// The coordinator's address [default: looks on the local network]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// The pin of its key, as it prints it: nobody else is trusted
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// A token of the coordinator's for joining; needed once
    #[arg(long, value_name = "TOKEN", env = "CONSTELLATION_JOIN", hide_env_values = true)]
    join: Option<String>,
    /// Where it keeps everything [default: the system's folder for it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where it trains
    #[arg(long, value_enum)]
    backend: Option<BackendChoice>,
    /// When this machine may train
    #[arg(long, value_enum, default_value_t = WhenChoice::Idle)]
    when: WhenChoice,
    /// The device's name [default: the machine's]
    #[arg(long)]
    name: Option<String>,
    /// Tells several workers on one machine apart
    #[arg(long, default_value_t = 0)]
    instance: u32,
    /// Of the coordinators on the local network, only the one of this cluster
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// Send at most so many megabits a second
    #[arg(long, value_name = "N", value_parser = above_zero)]
    max_upload_mbps: Option<f64>,
    /// Print what happens as JSON
    #[arg(long)]
    json: bool,
    /// End when standard input ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhenChoice {
    /// While nobody uses it
    Idle,
    Always,
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}

pub async fn run(
    arguments: WorkerArguments,
    settings: Settings,
    context: &CommandContext,
) -> anyhow::Result<()> {
    let told = lifetime::until_told(arguments.exit_with_parent)?;
    let folder = match arguments.instance {
        0 => "worker".to_owned(),
        instance => format!("worker-{instance}"),
    };
    let data_dir = data_dir(arguments.data_dir.as_deref(), &folder)?;
    let url = settings.coordinator_url.under(arguments.coordinator.map(Some)).value;
    let (found, coordinator) = watch::channel(url.clone());
    if url.is_none() {
        look(arguments.cluster, found.clone());
    }
    let trainer = context.trainer(settings.backend.under(arguments.backend).value)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0, and saturates"
    )]
    let maximum_cache_bytes = (settings.maximum_cache_gb.value * 1e9) as u64;
    let worker = worker::Settings {
        pin: settings.coordinator_pin.under(arguments.pin.map(Some)).value,
        join: arguments.join,
        name: arguments.name,
        instance: arguments.instance,
        when: match arguments.when {
            WhenChoice::Idle => worker::When::Idle,
            WhenChoice::Always => worker::When::Always,
        },
        idle_seconds: u64::from(settings.idle_seconds.value),
        maximum_cache_bytes,
        maximum_upload_mbps: settings
            .maximum_upload_mbps
            .under(arguments.max_upload_mbps.map(Some))
            .value,
        ..worker::Settings::new(data_dir, coordinator, trainer)
    };
    let observe = observer(arguments.json, told.clone());
    worker::run(worker, move |status| observe(status), told).await?;
    drop(found);
    Ok(())
}

/// Looks for the coordinator for as long as somebody wants to know.
fn look(cluster: Option<String>, found: watch::Sender<Option<String>>) {
    tokio::spawn(async move {
        if let Err(error) = discovery::browse(cluster, found).await {
            tracing::error!(%error, "the coordinator can't be looked for");
        }
    });
}

/// Tells each status; the worker ends where nobody reads them any more.
fn observer(json: bool, told: CancellationToken) -> Arc<dyn Fn(&Status) + Send + Sync> {
    let last = std::sync::Mutex::new(String::new());
    Arc::new(move |status| {
        let written = if json {
            output::json(status)
        } else {
            let words = status_words::of(status);
            let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if *last == words {
                return;
            }
            let written = output::line(&words);
            *last = words;
            written
        };
        if written.is_err() {
            told.cancel();
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        worker: WorkerArguments,
    }

    #[test]
    fn a_pin_that_begins_with_a_hyphen_is_no_flag() {
        let pin = Pin::from_bytes([0xfb; 32]);
        assert!(pin.to_string().starts_with('-'));
        let line = Line::try_parse_from(["worker", "--pin", &pin.to_string()]).unwrap();
        assert_eq!(line.worker.pin, Some(pin));
    }
}
