//! `constellation worker`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};
use platform::sensors::SystemSensors;
use protocol::Pin;
use protocol::join::Join;
use tokio::sync::watch;
use worker::Status;

use super::{lifetime, status_text};
use crate::CommandContext;
use crate::settings::{BackendSetting, Settings, data_dir};
use crate::stdout_writer::StdoutWriter;
use crate::value_parsers::{megabits, whole_number};
use crate::worker_run::{Place, run_worker};

#[derive(Debug, Args)]
pub struct WorkerArguments {
    /// Address of the coordinator [default: search the local network]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// SHA-256 fingerprint of the coordinator's public key [default: from the join code]
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// Join code, as a link or typed; enrolls this machine, so only the first run needs it
    ///
    /// The default is the environment variable `CONSTELLATION_JOIN` or the setting
    /// `EnrollmentCode`. To move this machine to another cluster, run `constellation leave` first.
    #[arg(long, value_name = "CODE")]
    join: Option<Join>,
    /// Data folder of the worker [default: the standard data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Compute backend for training
    #[arg(long, value_enum)]
    backend: Option<BackendSetting>,
    /// When to train
    #[arg(long, value_enum, default_value_t = WhenChoice::Idle)]
    when: WhenChoice,
    /// Name of the device [default: the machine's name]
    #[arg(long)]
    name: Option<String>,
    /// Worker number, if this machine runs several workers
    #[arg(long, default_value_t = platform::account::number(),
        value_parser = whole_number(0..=u32::MAX, "the number of the worker", 2))]
    instance: u32,
    /// Id of the cluster to find on the local network
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,
    /// Maximum upload rate in megabits per second
    #[arg(long, value_name = "N", value_parser = megabits)]
    max_upload_mbps: Option<f64>,
    /// Print events as JSON Lines
    #[arg(long)]
    json: bool,
    /// Exit at the end of standard input
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhenChoice {
    /// While this machine is idle
    Idle,
    /// At any time, for dedicated machines
    Always,
}

pub(crate) async fn run(
    arguments: WorkerArguments,
    settings: Settings,
    context: &CommandContext,
) -> anyhow::Result<()> {
    let stop = lifetime::until_stopped(arguments.exit_with_parent)?;
    let data_dir = data_dir(arguments.data_dir.as_deref(), &folder(arguments.instance))?;
    let (policy, presence) = (settings.policy(), settings.presence());
    let maximum_cache_bytes = settings.maximum_cache_bytes();
    let maximum_memory_bytes = settings.maximum_memory_bytes();
    let url = settings.coordinator_url.under(arguments.coordinator.map(Some)).value;
    let join = settings.enrollment_code.under(arguments.join.map(Some));
    let join_source = join.join_source();
    let trainer = context.trainer(settings.backend.under(arguments.backend).value)?;
    let policy = worker::IdlePolicy {
        when: match arguments.when {
            WhenChoice::Idle => worker::When::Idle,
            WhenChoice::Always => worker::When::Always,
        },
        ..policy
    };
    let worker = worker::WorkerSettings {
        pin: settings.coordinator_pin.under(arguments.pin.map(Some)).value,
        join: join.value,
        join_source,
        name: arguments.name,
        instance: arguments.instance,
        policy: watch::channel(policy).1,
        // A dedicated machine needs no reduced priority.
        nice: matches!(arguments.when, WhenChoice::Idle),
        maximum_memory_bytes,
        presence,
        sensors: Arc::new(SystemSensors::with_idle_helper(context.idle_helper())),
        maximum_cache_bytes,
        maximum_upload_mbps: settings
            .maximum_upload_mbps
            .under(arguments.max_upload_mbps.map(Some))
            .value,
        ..worker::WorkerSettings::new(data_dir, watch::channel(None).1, trainer)
    };
    let unread = stop.clone();
    // The worker ends when nobody reads its output.
    let lines = Arc::new(StdoutWriter::start(move || unread.cancel())?);
    let observe = observer(arguments.json, lines.clone());
    let place = Place { url, cluster: arguments.cluster };
    let ended = run_worker(worker, place, observe, stop).await;
    lines.end();
    Ok(ended??)
}

/// Name of the worker's folder among the account's standard folders.
pub(crate) fn folder(instance: u32) -> String {
    if instance == platform::account::number() {
        "worker".to_owned()
    } else {
        format!("worker-{instance}")
    }
}

/// Returns an observer that prints each status.
fn observer(json: bool, lines: Arc<StdoutWriter>) -> impl Fn(&Status) + Send + Sync {
    let last = Mutex::new(String::new());
    move |status| {
        if json {
            return lines.write_json(status);
        }
        let words = status_text::status_text(status);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != words {
            lines.write_line(&words);
            *last = words;
        }
    }
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
