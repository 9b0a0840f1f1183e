//! The flags by which a command finds its coordinator.

use std::path::PathBuf;

use clap::Args;
use protocol::Pin;

use crate::client::{Access, Client};
use crate::settings::{Settings, data_dir};

/// The coordinator's folder among the standard ones.
pub(crate) const COORDINATOR_FOLDER: &str = "coordinator";
/// Within it: the datasets that people added.
pub(crate) const UPLOADS_FOLDER: &str = "datasets";

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Coordinator")]
pub struct AccessArguments {
    /// The coordinator's address, such as <https://192.168.1.10:8000> [default: the one on this machine]
    #[arg(long, value_name = "URL", global = true)]
    coordinator: Option<String>,
    /// The pin of its key, as it prints it [default: that of the one on this machine, else the
    /// certificate must be one that this system trusts]
    #[arg(long, value_name = "PIN", global = true, allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// A token that it gave out [default: its own admin token, on this machine]
    #[arg(long, global = true, env = "CONSTELLATION_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Its data folder, where that isn't the standard one
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Options")]
    pub json: bool,
}

impl AccessArguments {
    /// Where the coordinator keeps added datasets, if it is on this machine.
    pub(super) fn uploads(&self) -> anyhow::Result<PathBuf> {
        Ok(data_dir(self.data_dir.as_deref(), COORDINATOR_FOLDER)?.join(UPLOADS_FOLDER))
    }

    pub fn client(self, settings: Settings) -> anyhow::Result<Client> {
        let data_dir = data_dir(self.data_dir.as_deref(), COORDINATOR_FOLDER)?;
        // An address that the settings name is that of the workers' coordinator; a folder that was
        // given says more precisely which one is meant.
        let address = match self.data_dir {
            Some(_) => self.coordinator,
            None => settings.coordinator_url.under(self.coordinator.map(Some)).value,
        };
        // The pin goes with the address.
        let pin = match (&self.data_dir, &address) {
            (None, Some(_)) => settings.coordinator_pin.under(self.pin.map(Some)).value,
            (Some(_), _) | (None, None) => self.pin,
        };
        Ok(Client::new(&Access { address, pin, token: self.token, data_dir })?)
    }
}
