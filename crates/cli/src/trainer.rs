//! The hidden subcommand `trainer`: a child process that trains for its parent.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use engine::{ServeOptions, Served};

use crate::simulate::Backend;

#[derive(Debug, Args)]
pub(crate) struct TrainerArguments {
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    backend: Backend,
    /// Where what a GPU compiles is kept
    #[arg(long)]
    cache_dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: TrainerArguments) -> ExitCode {
    // Set by the parent from the plan; also what burn's own pool takes.
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
