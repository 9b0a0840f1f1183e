//! `constellation coordinator`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use coordinator::{BackupSchedule, Observer, Origin, OwnCertificate, Sources};
use protocol::Pin;
use protocol::setting::{Setting, SettingOrigin};
use protocol::text::{HiddenCharacter, check};
use serde::{Deserialize, Serialize};

use super::access::{COORDINATOR_FOLDER, UPLOADS_FOLDER};
use super::lifetime;
use super::sign_in::{self, SignInArguments};
use crate::discovery::Advertisement;
use crate::lines::Lines;
use crate::settings::{BackendChoice, Key, Settings, data_dir, shown};
use crate::{CommandContext, output};

const DEFAULT_NAME: &str = "Constellation";
const DEFAULT_LISTEN: &str = "127.0.0.1:8000";
/// Seconds.
const DEFAULT_PATIENCE: u32 = 60;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CoordinatorArguments {
    #[command(subcommand)]
    command: Option<CoordinatorCommand>,
    /// Where it keeps everything [default: the system's folder for it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// The cluster's name
    #[arg(long, default_value = DEFAULT_NAME, value_parser = cluster_name)]
    name: String,
    /// A certificate of your own (PEM), so that browsers don't warn; devices go by the cluster's
    /// own all the same [default: the cluster's own]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its key (PEM, unencrypted)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Let pages of this origin ask the API, with a token; may be given many times [default: none]
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<Origin>,
    /// Don't tell the local network
    #[arg(long)]
    no_discovery: bool,
    /// Where it makes first weights and measures models
    #[arg(long, value_enum)]
    backend: Option<BackendChoice>,
    /// How long a lease lasts without a sign of its device, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENCE,
        value_parser = clap::value_parser!(u32).range(2..=86_400))]
    lease_patience: u32,
    /// Use no more disk than this
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u64).range(1..))]
    maximum_disk_gb: Option<u64>,
    /// Make backups by itself, in this folder; one on another disk outlives this one
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// From one backup to the next, such as 24h or 30m
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "backup_dir", value_parser = backup_every)]
    backup_every: Duration,
    /// Backups kept; older ones are removed
    #[arg(long, value_name = "N", default_value_t = 7, requires = "backup_dir", value_parser = clap::value_parser!(u16).range(1..))]
    backup_keep: u16,
    /// Print what happens as JSON
    #[arg(long)]
    json: bool,
    /// End when standard input ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum CoordinatorCommand {
    /// Print a link that signs one browser in to a coordinator's dashboard
    SignIn(SignInArguments),
}

impl CoordinatorArguments {
    fn certificate(&self) -> Option<OwnCertificate> {
        let (certificate, key) = (self.tls_certificate.clone()?, self.tls_key.clone()?);
        Some(OwnCertificate { certificate, key })
    }

    /// The settings that count for this run: the machine's, and those that only a coordinator has.
    fn shown(&self, settings: &Settings) -> Vec<Setting> {
        let backend = settings.backend.clone().under(self.backend);
        let given = |is_default| {
            if is_default { SettingOrigin::Default } else { SettingOrigin::User }
        };
        let name = given(self.name == DEFAULT_NAME);
        let listen = given(self.listen.to_string() == DEFAULT_LISTEN);
        let patience = given(self.lease_patience == DEFAULT_PATIENCE);
        let (disk, backups) = (self.maximum_disk_gb, self.backup_dir.as_ref());
        let mut shown = vec![
            shown("ClusterName", &self.name, name, "What the cluster is called."),
            shown("Listen", self.listen, listen, "Where the coordinator listens."),
            shown(
                "LeaseSeconds",
                self.lease_patience,
                patience,
                "Seconds that a lease lasts without a sign of its device.",
            ),
            shown(
                "MaximumDiskGB",
                disk,
                given(disk.is_none()),
                "Gigabytes that are stored at most.",
            ),
            shown(
                "BackupFolder",
                backups,
                given(backups.is_none()),
                "Where backups go that the coordinator makes by itself.",
            ),
            shown(
                "Discovery",
                !self.no_discovery,
                given(!self.no_discovery),
                "Whether the local network is told where the coordinator is.",
            ),
        ];
        // The name is the cluster's own, above.
        let machine = Key::ALL.iter().filter(|key| **key != Key::ClusterName);
        shown.extend(machine.map(|key| {
            let mut setting = settings.one_shown(*key);
            if *key == Key::Backend {
                setting.value = backend.value.to_string().into();
                setting.origin = backend.source.origin();
            }
            setting
        }));
        shown
    }
}

/// The first line of `constellation coordinator --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Opening {
    Listening { url: String, cluster: String, pin: Pin },
}

pub async fn run(
    arguments: CoordinatorArguments,
    settings: Settings,
    context: &CommandContext,
) -> anyhow::Result<()> {
    if let Some(CoordinatorCommand::SignIn(arguments)) = arguments.command {
        return sign_in::run(arguments, settings).await;
    }
    let told = lifetime::until_told(arguments.exit_with_parent)?;
    let data_dir = data_dir(arguments.data_dir.as_deref(), COORDINATOR_FOLDER)?;
    let json = arguments.json;
    let backups = arguments.backup_dir.clone().map(|folder| BackupSchedule {
        folder,
        every: arguments.backup_every,
        keep: usize::from(arguments.backup_keep),
    });
    let sources = Sources::from_environment(data_dir.join(UPLOADS_FOLDER));
    let shown = arguments.shown(&settings);
    let settings = coordinator::Settings {
        listen: arguments.listen,
        name: arguments.name.clone(),
        certificate: arguments.certificate(),
        lease_patience: Duration::from_secs(u64::from(arguments.lease_patience)),
        trainer: context.trainer(settings.backend.under(arguments.backend).value)?,
        predictor: context.trainer(BackendChoice::Cpu)?,
        nice: false,
        shown,
        sources,
        allow_origins: arguments.allow_origin.clone(),
        maximum_disk_bytes: arguments.maximum_disk_gb.map(|gb| gb.saturating_mul(1_000_000_000)),
        backups,
        data_dir,
    };
    let observer = if json {
        // Nobody reading is found out by the first line.
        let lines = Lines::start(|| {})?;
        Observer::new(move |moment| lines.say_json(moment))
    } else {
        Observer::default()
    };
    let running = coordinator::start_observed(settings, observer).await?;
    let (cluster, pin) = (running.cluster.id.clone(), running.cluster.pin);
    let url = running.https_url();
    if json {
        output::json(&Opening::Listening { url, cluster: cluster.clone(), pin })?;
    } else {
        output::line(format_args!("cluster {cluster} '{}' at {url}", arguments.name))?;
        output::line(format_args!("pin {pin}"))?;
        output::line(format_args!("API at {}/docs", running.url()))?;
        // For the person at the terminal alone: a link in a log would be a key in a log.
        if output::is_watched()
            && let Some(link) = running.sign_in_link().await
        {
            output::note(format_args!("sign in, once and within 5 minutes: {link}"));
        }
    }
    let advertisement = if arguments.no_discovery {
        None
    } else {
        // Workers that have the address don't need Bonjour.
        Advertisement::start(&cluster, &arguments.name, running.address)
            .inspect_err(|error| tracing::warn!(%error, "the local network is not told"))
            .ok()
    };
    let failed = tokio::select! {
        () = told.cancelled() => false,
        () = running.failed() => true,
    };
    if let Some(advertisement) = advertisement {
        advertisement.stop().await;
    }
    running.stop().await;
    if failed {
        bail!("the coordinator can't go on; its log says why");
    }
    Ok(())
}

/// A name that can be shown everywhere.
fn cluster_name(text: &str) -> Result<String, HiddenCharacter> {
    check(text).map(|()| text.to_owned())
}

/// `30m`, `24h`, `7d`; never so short that one backup runs into the next.
fn backup_every(text: &str) -> Result<Duration, String> {
    let wrong = || "say 30m, 24h or 7d; at least 1m".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(seconds).filter(|seconds| (60..=31_536_000).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
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
            ["", "h", "24", "0m", "-1h", "1x", "24 h", "99999999999999999999h", "400d", "5é"]
        {
            assert!(backup_every(wrong).is_err(), "{wrong}");
        }
    }
}
