//! Node of Constellation without the engine: settings, discovery, and the commands of the command line. The
//! program that contains the engine passes in how to start a trainer.

use std::path::{Path, PathBuf};

use platform::sensors::idle_helper::IdleHelperCommand;
use protocol::metrics::EvalMetrics;
use protocol::model::ModelSpec;

mod address_candidates;
pub mod app;
pub mod client;
mod commands;
mod coordinator_locator;
mod discovery;
pub mod job_file;
pub mod logging;
pub mod output;
pub mod rounds;
pub mod settings;
mod stdout_writer;
pub mod value_parsers;
mod worker_run;

pub use commands::lifetime::until_signal;
pub use commands::{Command, run};
pub use platform::private::restrict_umask;
use settings::BackendSetting;
use trainer::TrainerCommand;

/// Functions and paths that commands need from the program with the engine.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// Program whose subcommands `trainer` and `sense-idle` are the trainer and the idle helper.
    pub program: PathBuf,
    /// Evaluates a model on a dataset's test split, in this process.
    pub evaluate: fn(&EvaluateModel) -> anyhow::Result<EvalMetrics>,
}

impl CommandContext {
    /// Returns how to start a trainer with this backend.
    ///
    /// # Errors
    /// There is no folder for the GPU's compilation cache.
    pub fn trainer(
        &self,
        backend: BackendSetting,
    ) -> Result<TrainerCommand, platform::folders::NoHome> {
        trainer_command(&self.program, backend)
    }

    /// Returns how to start the idle helper.
    pub(crate) fn idle_helper(&self) -> IdleHelperCommand {
        idle_helper_command(&self.program)
    }
}

fn idle_helper_command(program: &Path) -> IdleHelperCommand {
    IdleHelperCommand { program: program.to_owned(), args: vec!["sense-idle".to_owned()] }
}

fn trainer_command(
    program: &Path,
    backend: BackendSetting,
) -> Result<TrainerCommand, platform::folders::NoHome> {
    let cache = platform::folders::cache()?;
    // An earlier version may have left files there readable by others. A failure is harmless: the cache can be rebuilt.
    match platform::private::tighten(&cache) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the cache folder stays readable by others");
        }
        Ok(()) | Err(_) => {}
    }
    let args = ["trainer", "--backend", &backend.to_string(), "--cache-dir"];
    let mut args: Vec<String> = args.map(str::to_owned).to_vec();
    args.push(cache.to_string_lossy().into_owned());
    Ok(TrainerCommand { program: program.to_owned(), args })
}

/// Model to evaluate.
#[derive(Debug, Clone)]
pub struct EvaluateModel {
    pub spec: ModelSpec,
    /// Flat vector of parameters in layout order.
    pub parameters: Vec<f32>,
    /// Class names of the model's outputs.
    pub classes: Vec<String>,
    pub dataset: String,
    /// Data folder of a coordinator on this machine, with the uploaded datasets.
    pub data_dir: PathBuf,
}
