//! Flags that select the coordinator and authenticate a command to it.

use std::path::PathBuf;

use clap::Args;
use protocol::Pin;

use crate::client::{Access, Client};
use crate::settings::{Settings, data_dir};

/// Name of the coordinator's folder in the standard data folder.
pub(crate) const COORDINATOR_FOLDER: &str = "coordinator";
/// Folder of uploaded datasets in the coordinator's folder.
pub(crate) const UPLOADS_FOLDER: &str = "datasets";

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Coordinator")]
pub(crate) struct AccessArguments {
    /// Address of the coordinator, such as `https://192.168.1.10:8000` [default: the coordinator on this machine]
    #[arg(long, value_name = "URL", global = true)]
    coordinator: Option<String>,
    /// SHA-256 fingerprint of the coordinator's public key
    ///
    /// The coordinator prints its pin when it starts. For the coordinator on this machine, the pin
    /// is found automatically. For another coordinator, give the pin or use a certificate that this
    /// system trusts.
    #[arg(long, value_name = "PIN", global = true, allow_hyphen_values = true)]
    pin: Option<Pin>,
    /// API token [default: the admin token of the coordinator on this machine]
    #[arg(long, global = true, env = "CONSTELLATION_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Data folder of the coordinator on this machine [default: the standard data folder]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
}

impl AccessArguments {
    /// Data folder of a coordinator on this machine.
    pub(super) fn coordinator_folder(&self) -> anyhow::Result<PathBuf> {
        Ok(data_dir(self.data_dir.as_deref(), COORDINATOR_FOLDER)?)
    }

    pub(crate) fn client(self, settings: Settings) -> anyhow::Result<Client> {
        let data_dir = data_dir(self.data_dir.as_deref(), COORDINATOR_FOLDER)?;
        // The settings name the coordinator of this machine's worker. An explicit data folder selects another one.
        let address = match self.data_dir {
            Some(_) => self.coordinator,
            None => settings.coordinator_url.under(self.coordinator.map(Some)).value,
        };
        // Address and pin come from the same source.
        let pin = match (&self.data_dir, &address) {
            (None, Some(_)) => settings.coordinator_pin.under(self.pin.map(Some)).value,
            (Some(_), _) | (None, None) => self.pin,
        };
        Ok(Client::new(&Access { address, pin, token: self.token, data_dir })?)
    }
}
