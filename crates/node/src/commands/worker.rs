//! `constellation worker`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};
use protocol::Pin;
use protocol::join::Join;
use tokio::sync::watch;
use worker::Status;

use super::{lifetime, status_words};
use crate::CommandContext;
use crate::lines::Lines;
use crate::settings::{BackendChoice, Settings, data_dir};
use crate::worker_run::{Place, run_worker};

#[derive(Debug, Args)]
pub struct WorkerArguments {
    /// The coordinator's address [default: looks on the local network]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// The pin of its key, as it prints it: nobody else is trusted [default: the join code's]
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// A join code: its link, or the code as it is typed; needed once. A machine in another cluster
    /// leaves it first (`constellation leave`) [default: what `CONSTELLATION_JOIN` or the setting
    /// `EnrollmentCode` says]
    #[arg(long, value_name = "CODE")]
    join: Option<Join>,
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
    #[arg(long, default_value_t = platform::account::number())]
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
    let worker = worker::Settings {
        pin: settings.coordinator_pin.under(arguments.pin.map(Some)).value,
        join: join.value,
        join_source,
        name: arguments.name,
        instance: arguments.instance,
        policy: watch::channel(policy).1,
        // A machine that does nothing else needs nobody to give way to.
        nice: matches!(arguments.when, WhenChoice::Idle),
        maximum_memory_bytes,
        presence,
        maximum_cache_bytes,
        maximum_upload_mbps: settings
            .maximum_upload_mbps
            .under(arguments.max_upload_mbps.map(Some))
            .value,
        ..worker::Settings::new(data_dir, watch::channel(None).1, trainer)
    };
    let unread = told.clone();
    // The worker ends where nobody is there to read.
    let lines = Arc::new(Lines::start(move || unread.cancel())?);
    let observe = observer(arguments.json, lines.clone());
    let place = Place { url, cluster: arguments.cluster };
    let ended = run_worker(worker, place, observe, told).await;
    lines.end();
    Ok(ended??)
}

/// Among the account's standard ones.
pub(crate) fn folder(instance: u32) -> String {
    if instance == platform::account::number() {
        "worker".to_owned()
    } else {
        format!("worker-{instance}")
    }
}

/// Tells each status.
fn observer(json: bool, lines: Arc<Lines>) -> impl Fn(&Status) + Send + Sync {
    let last = Mutex::new(String::new());
    move |status| {
        if json {
            return lines.say_json(status);
        }
        let words = status_words::of(status);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != words {
            lines.say(&words);
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
