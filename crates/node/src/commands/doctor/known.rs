//! Addresses and pin of the coordinator that this machine knows without the network.

use std::path::{Path, PathBuf};

use protocol::Pin;
use protocol::join::Join;
use worker::Cluster;

use super::check::Check;
use crate::commands::access::COORDINATOR_FOLDER;
use crate::settings::{Settings, data_dir};

/// Known addresses of the coordinator, its pin and its cluster.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Distinct URLs, most likely first, each with the source that names it.
    pub(super) addresses: Vec<(String, &'static str)>,
    pub(super) pin: Option<Pin>,
    pub(super) cluster: Option<Cluster>,
    has_code: bool,
    /// Error of reading the worker's folder.
    read_error: Option<String>,
}

impl Known {
    pub(super) fn gather(
        settings: Option<&Settings>,
        flags: (Option<String>, Option<Pin>),
        folder: &Path,
    ) -> Self {
        let mut known = Self::default();
        match worker::enrolled_with(folder) {
            Ok(cluster) => known.cluster = cluster,
            Err(error) => known.read_error = Some(error.to_string()),
        }
        let (url, pin) = match settings.cloned() {
            Some(settings) => (
                settings.coordinator_url.under(flags.0.map(Some)).value,
                settings.coordinator_pin.under(flags.1.map(Some)).value,
            ),
            None => flags,
        };
        let join = settings.and_then(|settings| settings.enrollment_code.value.as_ref());
        known.has_code = join.is_some();
        let link = match join {
            Some(Join::Link(code)) => Some(Cluster::from(code.as_ref())),
            Some(Join::Typed(_)) | None => None,
        };
        if let Some(url) = url {
            known.add(url, "the settings");
        }
        let clusters = [(known.cluster.clone(), "the enrollment"), (link, "the join link")];
        known.pin = pin;
        for (cluster, source) in clusters {
            let Some(cluster) = cluster else { continue };
            known.pin = known.pin.or(Some(cluster.pin));
            for address in cluster.addresses {
                known.add(format!("https://{address}"), source);
            }
        }
        if known.addresses.is_empty() {
            known.add_local();
        }
        known
    }

    /// Adds the coordinator on this machine, if there is one.
    fn add_local(&mut self) {
        let Ok(folder) = data_dir(None, COORDINATOR_FOLDER) else { return };
        let Ok(address) = std::fs::read_to_string(folder.join("address")) else { return };
        self.pin = self.pin.or_else(|| coordinator::pin_of(&folder).ok().flatten());
        self.add(
            address.trim().replacen("http://", "https://", 1),
            "the coordinator on this machine",
        );
    }

    pub(super) fn add(&mut self, url: String, source: &'static str) {
        if !self.addresses.iter().any(|(known, _)| *known == url) {
            self.addresses.push((url, source));
        }
    }

    /// Checks whether this machine is enrolled in a cluster.
    pub(super) fn enrollment(&self) -> Check {
        const NAME: &str = "enrolment";
        match (&self.read_error, &self.cluster) {
            (Some(reason), _) => Check::failed(NAME, format!("Can't read the stored enrollment: {reason}"))
                .fix("Restore the file from a backup, or run `constellation leave --yes` and enroll again"),
            (None, Some(cluster)) => Check::ok(NAME, format!("This machine is enrolled in the cluster '{}'", cluster.name)),
            (None, None) if self.has_code => {
                Check::ok(NAME, "Not enrolled yet; the worker enrolls with the join code from the settings when it starts")
            }
            (None, None) => Check::warning(NAME, "This machine is not enrolled in a cluster, and the settings contain no join code")
                .fix("Get a join code from your administrator and run `constellation worker --join CODE`"),
        }
    }
}

/// Data folder of the worker to check.
pub(super) fn worker_folder(flag: Option<&Path>) -> Result<PathBuf, platform::folders::NoHome> {
    data_dir(flag, &crate::commands::worker::folder(0))
}
