//! `constellation doctor`: what keeps this machine from working, and the mend.
//!
//! Facts are gathered here and in `reach`, `machine` and `known`; what they mean is decided in `verdict`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use platform::SystemFacts;
use protocol::setting::Setting;
use protocol::{PROTOCOL_VERSION, Pin};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::logging::LOG_FILE;
use crate::settings::{BackendSetting, Settings, SettingsError, data_dir};
use crate::{CommandContext, discovery, logging, output};

use super::access::COORDINATOR_FOLDER;

mod bundle;
mod check;
mod known;
mod machine;
mod proxy;
mod reach;
mod redact;
mod verdict;

use check::{Check, State};
use known::Known;
use redact::Redactor;
use verdict::{Asked, Permission, Seen};

/// How long the local network is listened to.
const LISTEN: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// The coordinator's address [default: what settings, enrolment, join link and Bonjour say]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// The pin of its key [default: as for the address]
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// The worker's folder [default: the system's folder for it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write findings, settings and logs to a zip file for support, without secrets or data
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    protocol: u32,
    system: System,
    checks: Vec<Check>,
    /// Empty where they can't be read.
    settings: Vec<Setting>,
}

#[derive(Debug, Serialize)]
struct System {
    name: String,
    version: String,
    kernel: String,
    architecture: &'static str,
    cores: u32,
    memory_gb: f64,
}

pub async fn run(
    arguments: DoctorArguments,
    settings: Result<Settings, SettingsError>,
    context: &CommandContext,
) -> anyhow::Result<()> {
    let folder = known::worker_folder(arguments.data_dir.as_deref())?;
    let own = data_dir(None, COORDINATOR_FOLDER)?;
    let redactor = Redactor::gather(settings.as_ref().ok(), &[&folder, &own]);
    let flags = (arguments.coordinator, arguments.pin);
    let known = Known::gather(settings.as_ref().ok(), flags, &folder);
    let report = examine(&settings, known, folder, context).await;
    let mut text = serde_json::to_value(&report)?;
    clean(&mut text, &redactor);
    if arguments.json {
        output::json(&text)?;
    } else {
        for check in &report.checks {
            output::line(format_args!(
                "{:8} {:14} {}",
                check.state.word(),
                check.name,
                redactor.told(&check.found)
            ))?;
            if let Some(mend) = &check.mend {
                output::line(format_args!("{:8} {:14} mend: {}", "", "", redactor.told(mend)))?;
            }
        }
    }
    if let Some(file) = &arguments.bundle {
        let logs = log_folder(arguments.data_dir.as_deref());
        let parts = bundle::write(file, &report, logs.as_deref(), &redactor)?;
        output::note(format_args!(
            "{} holds {}; look at it before you send it",
            file.display(),
            parts.join(", ")
        ));
    }
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| check.state == State::Failed)
        .map(|check| check.name)
        .collect();
    if !failed.is_empty() {
        bail!("{} of {} checks failed: {}", failed.len(), report.checks.len(), failed.join(", "));
    }
    Ok(())
}

/// The app's. `data_dir` is that of a worker: of an app with a folder of its own it is that folder's child.
fn log_folder(data_dir: Option<&Path>) -> Option<PathBuf> {
    data_dir
        .into_iter()
        .flat_map(|folder| folder.ancestors().take(2))
        .filter_map(|folder| logging::folder(Some(folder)).ok())
        .find(|folder| folder.join(LOG_FILE).is_file())
        .or_else(|| logging::folder(None).ok())
}

async fn examine(
    settings: &Result<Settings, SettingsError>,
    mut known: Known,
    folder: PathBuf,
    context: &CommandContext,
) -> Report {
    let shown = settings.as_ref().map(Settings::shown);
    let choice = settings.as_ref().map_or(BackendSetting::Auto, |settings| settings.backend.value);
    let wanted = known.cluster.as_ref().map(|cluster| cluster.id.clone());
    let has_address = !known.places.is_empty();
    // The trainer's start may take a minute where a GPU compiles its shaders.
    let (seen, backend) = tokio::join!(listen(wanted), machine::backend(context, choice));
    if let Seen::Coordinators(urls) = &seen {
        for url in urls {
            known.add(url.clone(), "Bonjour");
        }
    }
    let questions = known.places.iter().map(async |(url, who)| Asked {
        url: url.clone(),
        who,
        way: reach::way(url).await,
        answer: reach::ask(url, known.pin).await,
    });
    let asked = futures::future::join_all(questions).await;
    let system = SystemFacts::read();
    let folders: Vec<PathBuf> =
        [Some(folder), platform::folders::cache().ok()].into_iter().flatten().collect();
    let checks = vec![
        verdict::version(&asked),
        machine::settings(shown.as_ref().map(Vec::as_slice).map_err(|error| *error)),
        known.enrollment(),
        verdict::discovery(&seen, has_address),
        verdict::local_network(&permission(&system), &seen, &asked),
        proxy::check(&asked),
        verdict::coordinator(&asked),
        verdict::pin(&asked, known.pin.is_some()),
        verdict::clock(&asked),
        backend,
        machine::disk(&folders),
    ];
    let facts = platform::DeviceFacts::read();
    Report {
        version: env!("CARGO_PKG_VERSION"),
        protocol: PROTOCOL_VERSION,
        system: System {
            name: system.name,
            version: system.version,
            kernel: system.kernel,
            architecture: system.architecture,
            cores: facts.cores,
            memory_gb: facts.ram_gb,
        },
        checks,
        settings: shown.unwrap_or_default(),
    }
}

/// What Bonjour sees in a few seconds; of the cluster that this machine is in, where it is in one.
async fn listen(cluster: Option<String>) -> Seen {
    let (seen, mut seeing) = watch::channel(Vec::new());
    let browsing = discovery::browse(cluster, seen);
    match timeout(LISTEN, browsing).await {
        Ok(Err(error)) => Seen::Nothing(error.to_string()),
        Ok(Ok(())) | Err(_) => Seen::Coordinators(seeing.borrow_and_update().clone()),
    }
}

fn permission(system: &SystemFacts) -> Permission {
    if system.asks_for_local_network() {
        Permission::Asked {
            sent: platform::system::try_local_network().map_err(|error| error.kind()),
        }
    } else {
        Permission::NotAsked
    }
}

/// Every text in the value without secrets.
fn clean(value: &mut serde_json::Value, redactor: &Redactor) {
    match value {
        serde_json::Value::String(text) => *text = redactor.told(text),
        serde_json::Value::Array(values) => {
            for value in values {
                clean(value, redactor);
            }
        }
        serde_json::Value::Object(values) => {
            for value in values.values_mut() {
                clean(value, redactor);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_an_app_with_a_folder_of_its_own_is_found_from_its_worker_s() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        let log = own.join("log");
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join(LOG_FILE), "").unwrap();
        for given in [&own, &own.join("worker")] {
            assert_eq!(log_folder(Some(given)).as_ref(), Some(&log));
        }
        let of_system = platform::folders::logs().ok();
        assert_eq!(log_folder(Some(&other.join("worker"))), of_system);
        assert_eq!(log_folder(None), of_system);
    }
}
