//! How an app is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use platform::login_item::{LoginItem, NotSet};
use trainer::TrainerCommand;

use super::updates::UpdateSource;
use crate::settings::{BackendSetting, Places};

/// What is decided before there is anything to see.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything that the app keeps is below it.
    pub data_dir: PathBuf,
    /// Where its settings are kept.
    pub places: Places,
    /// The program `constellation`, whose subcommand is the trainer.
    pub program: PathBuf,
    /// Where this node listens as a coordinator.
    pub listen: SocketAddr,
    /// Tells several workers on one machine apart.
    pub instance: u32,
    /// What starts this app at login; none where it keeps everything in a folder of its own.
    pub login_item: Option<Result<LoginItem, NotSet>>,
    /// Where new versions are looked for; none looks for none.
    pub updates: Option<UpdateSource>,
    /// What this machine lacks, in words, such as a display.
    pub notes: Vec<String>,
}

impl Options {
    /// How a trainer with this backend is started.
    ///
    /// # Errors
    /// Where there is no folder for what a GPU compiles.
    pub(super) fn trainer(
        &self,
        backend: BackendSetting,
    ) -> Result<TrainerCommand, platform::folders::NoHome> {
        crate::trainer_command(&self.program, backend)
    }
}
