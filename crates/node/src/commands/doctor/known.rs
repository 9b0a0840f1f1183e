//! What this machine knows of its coordinator before it asks anybody.

use std::path::{Path, PathBuf};

use protocol::Pin;
use protocol::join::Join;
use worker::Cluster;

use super::check::Check;
use crate::commands::access::COORDINATOR_FOLDER;
use crate::settings::{Settings, data_dir};

/// Where the coordinator may be, and what proves it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// URLs, each once, the most likely first, with who names it.
    pub(super) places: Vec<(String, &'static str)>,
    pub(super) pin: Option<Pin>,
    pub(super) cluster: Option<Cluster>,
    has_code: bool,
    /// Why the worker's folder can't be read.
    unreadable: Option<String>,
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
            Err(error) => known.unreadable = Some(error.to_string()),
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
        let clusters = [(known.cluster.clone(), "its enrolment"), (link, "the join link")];
        known.pin = pin;
        for (cluster, who) in clusters {
            let Some(cluster) = cluster else { continue };
            known.pin = known.pin.or(Some(cluster.pin));
            for address in cluster.addresses {
                known.add(format!("https://{address}"), who);
            }
        }
        if known.places.is_empty() {
            known.add_own();
        }
        known
    }

    /// A coordinator on this machine.
    fn add_own(&mut self) {
        let Ok(folder) = data_dir(None, COORDINATOR_FOLDER) else { return };
        let Ok(address) = std::fs::read_to_string(folder.join("address")) else { return };
        self.pin = self.pin.or_else(|| coordinator::pin_of(&folder).ok().flatten());
        self.add(
            address.trim().replacen("http://", "https://", 1),
            "the coordinator on this machine",
        );
    }

    pub(super) fn add(&mut self, url: String, who: &'static str) {
        if !self.places.iter().any(|(known, _)| *known == url) {
            self.places.push((url, who));
        }
    }

    /// Whether this machine is in a cluster.
    pub(super) fn enrollment(&self) -> Check {
        const NAME: &str = "enrolment";
        match (&self.unreadable, &self.cluster) {
            (Some(reason), _) => Check::failed(NAME, format!("what the worker keeps of its enrolment can't be read: {reason}"))
                .mend("put the file back from a backup, or run `constellation leave --yes` and enrol again"),
            (None, Some(cluster)) => Check::ok(NAME, format!("this machine is a device of '{}'", cluster.name)),
            (None, None) if self.has_code => {
                Check::ok(NAME, "not enrolled yet: a worker that starts enrols with the code of the settings")
            }
            (None, None) => Check::warning(NAME, "this machine is in no cluster, and no setting has a code to join one")
                .mend("ask your administrator for a join code: `constellation worker --join CODE`"),
        }
    }
}

/// The folder of the worker that is looked at.
pub(super) fn worker_folder(flag: Option<&Path>) -> Result<PathBuf, platform::folders::NoHome> {
    data_dir(flag, &crate::commands::worker::folder(0))
}
