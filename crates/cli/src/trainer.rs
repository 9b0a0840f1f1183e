//! Hidden subcommand `trainer`: a child process that trains for its parent process.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use engine::{ServeOptions, Served};

use crate::simulate::Backend;

#[derive(Debug, Args)]
pub(crate) struct TrainerArguments {
    /// Compute backend for training
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    backend: Backend,
    /// Folder for compiled GPU kernels
    #[arg(long)]
    cache_dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: TrainerArguments) -> ExitCode {
    // The parent process sets this from the plan; burn's thread pool reads the same variable.
    let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let options = ServeOptions {
        backend: arguments.backend.into(),
        cache: arguments.cache_dir,
        threads: threads.unwrap_or(1),
        input_ended: || std::process::exit(0),
    };
    let input = std::io::BufReader::new(std::io::stdin());
    match engine::serve(input, std::io::stdout(), &options) {
        Served::InputEnded | Served::OutputClosed => ExitCode::SUCCESS,
        Served::NoBackend => ExitCode::FAILURE,
    }
}
