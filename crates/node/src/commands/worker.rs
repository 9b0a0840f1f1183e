//! `constellation worker`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::{Args, ValueEnum};
use protocol::Pin;
use protocol::join::Join;
use tokio::sync::watch;
use worker::{Cluster, Status};

use super::{lifetime, status_words};
use crate::candidates::Candidates;
use crate::lines::Lines;
use crate::settings::{BackendChoice, Settings, data_dir};
use crate::{CommandContext, discovery};

#[derive(Debug, Args)]
pub struct WorkerArguments {
    /// The coordinator's address [default: looks on the local network]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// The pin of its key, as it prints it: nobody else is trusted [default: the join code's]
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// A join code: its link, or the code as it is typed; needed once [default: what
    /// `CONSTELLATION_JOIN` or the setting `EnrollmentCode` says]
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
    let data_dir = data_dir(arguments.data_dir.as_deref(), &folder(arguments.instance))?;
    let (policy, maximum_cache_bytes) = (settings.policy(), settings.maximum_cache_bytes());
    let url = settings.coordinator_url.under(arguments.coordinator.map(Some)).value;
    let join = settings.enrollment_code.under(arguments.join.map(Some)).value;
    let known = known_cluster(&data_dir, join.as_ref())?;
    let (found, coordinator) = watch::channel(url.clone());
    let candidates = Arc::new(Mutex::new(Candidates::new(known.as_ref())));
    if url.is_none() {
        let cluster = arguments.cluster.or(known.map(|cluster| cluster.id));
        found.send_replace(lock(&candidates).url());
        look(cluster, candidates.clone(), found.clone());
    }
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
        join,
        name: arguments.name,
        instance: arguments.instance,
        policy: watch::channel(policy).1,
        maximum_cache_bytes,
        maximum_upload_mbps: settings
            .maximum_upload_mbps
            .under(arguments.max_upload_mbps.map(Some))
            .value,
        ..worker::Settings::new(data_dir, coordinator, trainer)
    };
    let unread = told.clone();
    // The worker ends where nobody is there to read.
    let lines = Arc::new(Lines::start(move || unread.cancel())?);
    let observe = observer(arguments.json, lines.clone());
    // An address that was given stays.
    let moving = url.is_none().then_some(found);
    let observe = move |status: &Status| {
        if let (Some(moving), Status::Offline { .. }) = (&moving, status) {
            // Nobody answered there: perhaps elsewhere.
            let next = lock(&candidates).next();
            moving.send_if_modified(|current| {
                let is_new = *current != next;
                *current = next;
                is_new
            });
        }
        observe(status);
    };
    let ended = worker::run(worker, observe, told).await;
    lines.end();
    Ok(ended?)
}

/// Among the standard ones.
pub(super) fn folder(instance: u32) -> String {
    match instance {
        0 => "worker".to_owned(),
        instance => format!("worker-{instance}"),
    }
}

/// The cluster that the code or the folder names; a typed code names none.
pub(crate) fn known_cluster(
    data_dir: &Path,
    join: Option<&Join>,
) -> anyhow::Result<Option<Cluster>> {
    match join {
        Some(Join::Link(code)) => Ok(Some(code.as_ref().into())),
        Some(Join::Typed(_)) | None => Ok(worker::enrolled_with(data_dir)?),
    }
}

fn lock(candidates: &Mutex<Candidates>) -> MutexGuard<'_, Candidates> {
    candidates.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks for the coordinator for as long as somebody wants to know, beside the addresses that are
/// known.
pub(crate) fn look(
    cluster: Option<String>,
    candidates: Arc<Mutex<Candidates>>,
    found: watch::Sender<Option<String>>,
) {
    let (seen, mut seeing) = watch::channel(Vec::new());
    tokio::spawn(async move {
        if let Err(error) = discovery::browse(cluster, seen).await {
            tracing::error!(%error, "the coordinator can't be looked for");
        }
    });
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = seeing.changed() => if changed.is_err() { return },
                () = found.closed() => return,
            }
            let urls = seeing.borrow_and_update().clone();
            let url = lock(&candidates).seen(urls);
            found.send_if_modified(|current| {
                let is_new = *current != url;
                *current = url;
                is_new
            });
        }
    });
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
            lines.say(words.clone());
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
