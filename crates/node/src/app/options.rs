//! Start options of the app.

use std::net::SocketAddr;
use std::path::PathBuf;

use platform::login_item::{LoginItem, NotSet};
use platform::sensors::idle_helper::IdleHelperCommand;
use trainer::TrainerCommand;

use super::update_source::UpdateSource;
use crate::settings::{BackendSetting, Places};

/// Options that are fixed when the app starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder for all files of the app.
    pub data_dir: PathBuf,
    /// Locations of the settings.
    pub places: Places,
    /// Path of the program `constellation`, whose subcommands `trainer` and `sense-idle` are the trainer and the
    /// idle helper.
    pub program: PathBuf,
    /// Listen address of the coordinator.
    pub listen: SocketAddr,
    /// Number of the worker, for machines with several workers.
    pub instance: u32,
    /// Login item that starts this app; `None` for an app with its own `--data-dir`.
    pub login_item: Option<Result<LoginItem, NotSet>>,
    /// Source of update notices. `None` disables the checks.
    pub updates: Option<UpdateSource>,
    /// Messages about missing features of this machine, such as a display.
    pub notes: Vec<String>,
}

impl Options {
    /// Returns the command that starts a trainer with this backend.
    ///
    /// # Errors
    /// Fails if there is no cache folder for compiled GPU shaders.
    pub(super) fn trainer(
        &self,
        backend: BackendSetting,
    ) -> Result<TrainerCommand, platform::folders::NoHome> {
        crate::trainer_command(&self.program, backend)
    }

    /// Returns the command that starts the idle helper.
    pub(super) fn idle_helper(&self) -> IdleHelperCommand {
        crate::idle_helper_command(&self.program)
    }
}
