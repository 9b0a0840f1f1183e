//! `constellation doctor`: diagnoses problems and suggests fixes.
//!
//! This module, `reach`, `machine`, `idle_time` and `known` gather facts; `verdict` interprets them, and `check` of
//! `idle_time` and `proxy` theirs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use platform::SystemFacts;
use protocol::{PROTOCOL_VERSION, Pin};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::logging::LOG_FILE;
use crate::settings::{BackendSetting, Settings, SettingsError, data_dir};
use crate::{CommandContext, discovery, logging, output};

use super::access::COORDINATOR_FOLDER;

mod bundle;
mod check;
mod idle_time;
mod known;
mod machine;
mod proxy;
mod reach;
mod redact;
mod report;
mod verdict;

use check::State;
use known::Known;
use redact::Redactor;
use report::{Report, System};
use verdict::{Discovered, LocalNetworkPermission, Probe};

/// Time to search the local network for coordinators.
const DISCOVERY_TIME: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Address of the coordinator [default: addresses from settings, enrollment, join link and Bonjour]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// SHA-256 fingerprint of the coordinator's public key [default: from settings, enrollment or join link]
    #[arg(long, value_name = "PIN", allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// Data folder of the worker [default: the standard data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write a zip file with findings, settings and logs for support
    ///
    /// Secrets are removed; the file contains no dataset rows and no models. Review it before you send it.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    arguments: DoctorArguments,
    settings: Result<Settings, SettingsError>,
    context: &CommandContext,
) -> anyhow::Result<()> {
    let folder = known::worker_folder(arguments.data_dir.as_deref())?;
    let coordinator_folder = data_dir(None, COORDINATOR_FOLDER)?;
    let redactor = Redactor::gather(settings.as_ref().ok(), &[&folder, &coordinator_folder]);
    let flags = (arguments.coordinator, arguments.pin);
    let known = Known::gather(settings.as_ref().ok(), flags, &folder);
    let report = run_checks(&settings, known, folder, context).await;
    // Opened before anything is printed: the archive may go to standard output.
    let bundle = match &arguments.bundle {
        Some(file) => Some((file.as_path(), bundle::open(file)?)),
        None => None,
    };
    let mut text = serde_json::to_value(&report)?;
    redact_all(&mut text, &redactor);
    if arguments.json {
        output::json(&text)?;
    } else {
        for check in &report.checks {
            output::line(format_args!(
                "{:8} {:14} {}",
                check.state.word(),
                check.name,
                redactor.redact(&check.found)
            ))?;
            if let Some(fix) = &check.fix {
                output::line(format_args!("{:8} {:14} fix: {}", "", "", redactor.redact(fix)))?;
            }
        }
    }
    if let Some((file, archive)) = bundle {
        let logs = log_folder(arguments.data_dir.as_deref());
        let parts = bundle::write((file, archive), &report, logs.as_deref(), &redactor)?;
        output::note(format_args!(
            "{} contains {}. Review it before you send it.",
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

/// Returns the folder of the app's log. `data_dir` is the folder of an app that was started with `--data-dir`, or of its
/// worker, which is a folder in it.
fn log_folder(data_dir: Option<&Path>) -> Option<PathBuf> {
    data_dir
        .into_iter()
        .flat_map(|folder| folder.ancestors().take(2))
        .filter_map(|folder| logging::folder(Some(folder)).ok())
        .find(|folder| folder.join(LOG_FILE).is_file())
        .or_else(|| logging::folder(None).ok())
}

async fn run_checks(
    settings: &Result<Settings, SettingsError>,
    mut known: Known,
    folder: PathBuf,
    context: &CommandContext,
) -> Report {
    let values = settings.as_ref().map(Settings::shown);
    let backend = settings
        .as_ref()
        .map_or_else(|_| BackendSetting::default(), |settings| settings.backend.value);
    let wanted = known.cluster.as_ref().map(|cluster| cluster.id.clone());
    let has_address = !known.addresses.is_empty();
    // The trainer can take a minute to start, if a GPU compiles its shaders.
    let (discovered, backend, idle_facts) = tokio::join!(
        discover(wanted),
        machine::backend(context, backend),
        idle_time::gather(context, &folder)
    );
    if let Discovered::Coordinators(urls) = &discovered {
        for url in urls {
            known.add(url.clone(), "Bonjour");
        }
    }
    let probes = known.addresses.iter().map(async |(url, source)| Probe {
        url: url.clone(),
        source,
        route: reach::route(url).await,
        result: reach::probe(url, known.pin).await,
    });
    let probes = futures::future::join_all(probes).await;
    let system = SystemFacts::read();
    let folders: Vec<PathBuf> =
        [Some(folder), platform::folders::cache().ok()].into_iter().flatten().collect();
    let checks = vec![
        verdict::version(&probes),
        machine::settings(values.as_ref().map(Vec::as_slice).map_err(|error| *error)),
        known.enrollment(),
        verdict::discovery(&discovered, has_address),
        verdict::local_network(&permission(&system), &discovered, &probes),
        proxy::check(&probes),
        verdict::coordinator(&probes),
        verdict::pin(&probes, known.pin.is_some()),
        verdict::clock(&probes),
        backend,
        idle_time::check(&idle_facts),
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
        settings: values.unwrap_or_default(),
    }
}

/// Searches the local network for a few seconds, for `cluster` only if it is given.
async fn discover(cluster: Option<String>) -> Discovered {
    let (sender, mut urls) = watch::channel(Vec::new());
    let browsing = discovery::browse(cluster, sender);
    match timeout(DISCOVERY_TIME, browsing).await {
        Ok(Err(error)) => Discovered::Unavailable(error.to_string()),
        Ok(Ok(())) | Err(_) => Discovered::Coordinators(urls.borrow_and_update().clone()),
    }
}

fn permission(system: &SystemFacts) -> LocalNetworkPermission {
    if system.asks_for_local_network() {
        LocalNetworkPermission::Required {
            sent: platform::system::try_local_network().map_err(|error| error.kind()),
        }
    } else {
        LocalNetworkPermission::NotRequired
    }
}

/// Redacts every string in the value.
fn redact_all(value: &mut serde_json::Value, redactor: &Redactor) {
    match value {
        serde_json::Value::String(text) => *text = redactor.redact(text),
        serde_json::Value::Array(values) => {
            for value in values {
                redact_all(value, redactor);
            }
        }
        serde_json::Value::Object(values) => {
            for value in values.values_mut() {
                redact_all(value, redactor);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_an_app_with_a_data_dir_is_found_from_its_worker_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        let log = own.join("log");
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join(LOG_FILE), "").unwrap();
        for data_dir in [&own, &own.join("worker")] {
            assert_eq!(log_folder(Some(data_dir)).as_ref(), Some(&log));
        }
        let standard = platform::folders::logs().ok();
        assert_eq!(log_folder(Some(&other.join("worker"))), standard);
        assert_eq!(log_folder(None), standard);
    }
}
