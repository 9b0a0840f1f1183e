//! `constellation coordinator`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use coordinator::{BackupSchedule, Observer, Origin, OwnCertificate, Sources};
use protocol::Pin;
use protocol::setting::Key;
use protocol::text::{HiddenCharacter, check};
use serde::{Deserialize, Serialize};

use super::access::{COORDINATOR_FOLDER, UPLOADS_FOLDER};
use super::lifetime;
use super::sign_in::{self, SignInArguments};
use crate::discovery::Advertisement;
use crate::settings::{BackendSetting, Settings, data_dir};
use crate::stdout_writer::StdoutWriter;
use crate::value_parsers::{listen_address, whole_number};
use crate::{CommandContext, output};

mod flags;

pub(crate) use flags::LEASE_TIMEOUT;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CoordinatorArguments {
    #[command(subcommand)]
    command: Option<CoordinatorCommand>,
    /// Data folder of the coordinator [default: the standard data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = flags::DEFAULT_LISTEN,
        value_parser = listen_address)]
    listen: SocketAddr,
    /// Name of the cluster
    #[arg(long, default_value = const { Key::ClusterName.default_str() }, value_parser = cluster_name)]
    name: String,
    /// TLS certificate for browsers, in PEM format [default: the cluster's certificate]
    ///
    /// Devices always verify the cluster's own key and need no other certificate.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the TLS certificate, in PEM format, unencrypted
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Allow API requests from web pages of this origin (CORS); repeatable [default: none]
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<Origin>,
    /// Don't announce the coordinator on the local network
    #[arg(long)]
    no_discovery: bool,
    /// Compute backend for initial weights and evaluation
    #[arg(long, value_enum)]
    backend: Option<BackendSetting>,
    /// Seconds without a heartbeat after which a lease expires
    #[arg(long, alias = "lease-patience", value_name = "SECONDS", default_value_t = LEASE_TIMEOUT.as_secs(),
        value_parser = whole_number(flags::LEASE_SECONDS, "a whole number of seconds", 60))]
    lease_timeout: u64,
    /// Maximum disk usage in gigabytes [default: unlimited]
    #[arg(long, value_name = "GB", value_parser = whole_number(flags::DISK_GIGABYTES, "a whole number of gigabytes", 500))]
    maximum_disk_gb: Option<u64>,
    /// Write scheduled backups to this folder, preferably on another disk
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// Interval between scheduled backups, such as 24h or 30m
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "backup_dir", value_parser = backup_every)]
    backup_every: Duration,
    /// Number of scheduled backups to keep; older ones are removed
    #[arg(long, value_name = "N", default_value_t = 7, requires = "backup_dir",
        value_parser = whole_number(1..=u16::MAX, "a whole number of backups", 7))]
    backup_keep: u16,
    /// Print events as JSON Lines
    #[arg(long)]
    json: bool,
    /// Exit at the end of standard input
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum CoordinatorCommand {
    /// Print a sign-in link for the dashboard
    ///
    /// The link works once, in one browser.
    SignIn(SignInArguments),
}

impl CoordinatorArguments {
    fn certificate(&self) -> Option<OwnCertificate> {
        let (certificate, key) = (self.tls_certificate.clone()?, self.tls_key.clone()?);
        Some(OwnCertificate { certificate, key })
    }
}

/// The first line of `constellation coordinator --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Opening {
    Listening { url: String, cluster: String, pin: Pin },
}

pub(super) async fn run(
    arguments: CoordinatorArguments,
    settings: Settings,
    context: &CommandContext,
) -> anyhow::Result<()> {
    if let Some(CoordinatorCommand::SignIn(arguments)) = arguments.command {
        return sign_in::run(arguments, settings).await;
    }
    let stop = lifetime::until_stopped(arguments.exit_with_parent)?;
    let data_dir = data_dir(arguments.data_dir.as_deref(), COORDINATOR_FOLDER)?;
    let json = arguments.json;
    let backups = arguments.backup_dir.clone().map(|folder| BackupSchedule {
        folder,
        every: arguments.backup_every,
        keep: usize::from(arguments.backup_keep),
    });
    let sources = Sources::from_environment(data_dir.join(UPLOADS_FOLDER));
    let shown = arguments.shown(&settings);
    let settings = coordinator::CoordinatorSettings {
        listen: arguments.listen,
        name: arguments.name.clone(),
        certificate: arguments.certificate(),
        lease_timeout: Duration::from_secs(arguments.lease_timeout),
        trainer: context.trainer(settings.backend.under(arguments.backend).value)?,
        predictor: context.trainer(BackendSetting::Cpu)?,
        nice: false,
        shown,
        sources,
        allow_origins: arguments.allow_origin.clone(),
        maximum_disk_bytes: arguments.maximum_disk_gb.map(|gb| gb.saturating_mul(1_000_000_000)),
        backups,
        data_dir,
    };
    let (observer, first_line) = if json {
        // A coordinator goes on without a reader. A job that resumes can report an event before the coordinator listens.
        let (lines, first) = StdoutWriter::start_after_first(|| {})?;
        (Observer::new(move |moment| lines.write_json(moment)), Some(first))
    } else {
        (Observer::default(), None)
    };
    if !coordinator::has_dashboard() {
        output::note(
            "warning: this program was built without the dashboard: run `make ui` and build again",
        );
    }
    let running = coordinator::start_observed(settings, observer).await?;
    let (cluster, pin) = (running.cluster.id.clone(), running.cluster.pin);
    let url = running.https_url();
    if let Some(first_line) = first_line {
        first_line.write_json(&Opening::Listening { url, cluster: cluster.clone(), pin });
    } else {
        output::line(format_args!("cluster {cluster} '{}' at {url}", arguments.name))?;
        output::line(format_args!("pin {pin}"))?;
        output::line(format_args!("API at {}/docs", running.url()))?;
        if let Some(command) = coordinator::listen_command(running.address) {
            output::warning(local_only(&command));
        }
        // Printed on terminals only: in a log file, the link would be a leaked credential.
        if output::is_watched()
            && let Some(link) = running.sign_in_link().await
        {
            output::note(format_args!("sign-in link, valid once within 5 minutes: {link}"));
        }
    }
    let advertisement = if arguments.no_discovery {
        None
    } else {
        // Workers that have the address don't need Bonjour.
        Advertisement::start(&cluster, &arguments.name, running.address)
            .inspect_err(|error| tracing::warn!(%error, "can't announce the coordinator on the local network"))
            .ok()
    };
    let failed = tokio::select! {
        () = stop.cancelled() => false,
        () = running.failed() => true,
    };
    if let Some(advertisement) = advertisement {
        advertisement.stop().await;
    }
    running.stop().await;
    if failed {
        bail!("the coordinator stopped because of an error; see its log");
    }
    Ok(())
}

/// States that other devices can't reach the coordinator, and how to change that.
pub(super) fn local_only(command: &str) -> String {
    format!(
        "the coordinator listens on its own machine only, so other devices can't join. To accept devices from the \
         network, start it with: {command}"
    )
}

/// Parses a name without hidden characters.
fn cluster_name(text: &str) -> Result<String, HiddenCharacter> {
    check(text).map(|()| text.to_owned())
}

/// Parses an interval; the minimum of one minute keeps backups from overlapping.
fn backup_every(text: &str) -> Result<Duration, String> {
    let range = Duration::from_mins(1)..=Duration::from_hours(365 * 24);
    let every = protocol::duration::parse(text).ok().filter(|every| range.contains(every));
    every.ok_or_else(|| "expected a duration such as 30m, 24h or 7d, from 1m to 365d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_backups() {
        assert_eq!(backup_every("30m"), Ok(Duration::from_mins(30)));
        assert_eq!(backup_every("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(backup_every("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in
            ["", "h", "24", "0m", "59s", "-1h", "1x", "99999999999999999999h", "400d", "5é"]
        {
            assert!(backup_every(wrong).is_err(), "{wrong}");
        }
    }
}
