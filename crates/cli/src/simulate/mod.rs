//! `constellation simulate`: runs a job in one process, without workers or a network. It uses the
//! same state machine and training engine as a cluster, and gives the same model.
//!
//! Time is virtual: a simulated device needs a fixed time per row, and the clock jumps from one
//! event to the next. The order of events therefore does not depend on the speed of this computer.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use data::Sources;
use engine::{BackendChoice, ComputeDevice};
use node::value_parsers::whole_number;

mod math;
mod progress;
mod simulation;
mod worker_pool;

use progress::ProgressView;
use simulation::Simulation;

#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// Job file (examples are in assets/jobs)
    file: PathBuf,
    /// Number of simulated devices
    #[arg(long, default_value_t = 8, value_parser = whole_number(1..=100_000_u32, "a whole number of devices", 8))]
    devices: u32,
    /// Training speed of a simulated device, in rows per second of virtual time
    #[arg(long, default_value_t = 1000, value_parser = whole_number(1..=u32::MAX, "a whole number of rows", 1000))]
    rows_per_second: u32,
    /// Compute backend for training
    #[arg(long, value_enum, default_value_t = Backend::Cpu)]
    backend: Backend,
    /// Write the trained model to a safetensors file; `-` writes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long)]
    json: bool,
}

/// Backend choices on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// A GPU that passes its self-test, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU.
    Wgpu,
}

impl From<Backend> for BackendChoice {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Auto => Self::Auto,
            Backend::Cpu => Self::Cpu,
            Backend::Wgpu => Self::Wgpu,
        }
    }
}

pub(crate) fn run(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let job = node::job_file::read(&arguments.file)?;
    let cache = platform::folders::cache().ok();
    let compute = ComputeDevice::choose(arguments.backend.into(), cache.as_deref())?;
    // Opened first, so that a path that can't be written does not cost a whole training.
    let output = match &arguments.output {
        Some(path) => {
            let opened = node::output::open_file(path);
            Some((path, opened.with_context(|| format!("can't write {}", path.display()))?))
        }
        None => None,
    };
    let mut view = ProgressView::new(arguments.json)?;
    view.doing("loading the dataset");
    // A coordinator on this computer keeps its uploaded datasets in its data folder.
    let data_dir = node::settings::data_dir(None, "coordinator")?;
    let sources = Sources::from_environment(data_dir.join("datasets"));
    let datasets = coordinator::datasets_of(&data_dir, sources)?;
    let dataset = datasets.load(&job.dataset, &mut |progress| view.loading(&progress))?;
    let prepared = coordinator::prepare::divide(&job, &dataset)?;
    drop(dataset);
    let (devices, rows_per_second) = (arguments.devices, arguments.rows_per_second);
    let mut simulation = Simulation::new(job, prepared, compute, devices, rows_per_second)?;
    let file = simulation.run(&mut view)?;
    if let Some((path, mut output)) = output {
        output
            .write_all(&file)
            .and_then(|()| output.commit())
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    view.end(&simulation.final_line(&file))
}
