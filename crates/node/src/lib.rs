//! One running Constellation without its engine: settings, discovery, and the commands of the
//! command line. Whoever has the engine says how a trainer is started.

use std::path::{Path, PathBuf};

use protocol::metrics::EvalMetrics;
use protocol::model::ModelSpec;

pub mod app;
mod candidates;
pub mod client;
mod commands;
pub mod discovery;
mod duration;
pub mod job_file;
mod lines;
pub mod logging;
pub mod output;
pub mod rounds;
pub mod settings;
mod whereabouts;
mod worker_run;

pub use commands::lifetime::until_signal;
pub use commands::{Command, run};
pub use platform::private::restrict_umask;
use settings::BackendChoice;
use trainer::TrainerCommand;

/// What commands need from the program that has the engine.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// The program whose subcommand `trainer` is the trainer.
    pub program: PathBuf,
    /// Measures a model on a dataset's test split, in this process.
    pub evaluate: fn(EvaluateModel) -> anyhow::Result<EvalMetrics>,
}

impl CommandContext {
    /// How a trainer with this backend is started.
    ///
    /// # Errors
    /// Where there is no folder for what a GPU compiles.
    pub fn trainer(
        &self,
        backend: BackendChoice,
    ) -> Result<TrainerCommand, platform::folders::NoHome> {
        trainer_command(&self.program, backend)
    }
}

fn trainer_command(
    program: &Path,
    backend: BackendChoice,
) -> Result<TrainerCommand, platform::folders::NoHome> {
    let cache = platform::folders::cache()?;
    // What an earlier version left open there; it can be made again, so nothing is lost by this.
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

/// A model to measure.
#[derive(Debug, Clone)]
pub struct EvaluateModel {
    pub spec: ModelSpec,
    /// A flat vector in layout order.
    pub parameters: Vec<f32>,
    /// Names of the model's outputs.
    pub classes: Vec<String>,
    pub dataset: String,
    /// Where added datasets are, on the coordinator's machine.
    pub uploads: PathBuf,
}
