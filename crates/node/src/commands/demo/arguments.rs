//! Arguments of `constellation demo`.

use std::path::PathBuf;

use clap::Args;

use crate::settings::BackendSetting;
use crate::value_parsers::whole_number;

#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Number of workers, from 1 to 32
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole_number(1..=32_u8, "a whole number of workers", 3))]
    pub(super) workers: u8,
    /// Dataset to train on, by its name in `constellation dataset list`
    #[arg(long, value_name = "NAME", default_value = "synthetic")]
    pub(super) dataset: String,
    /// Number of rounds [default: depends on the model type]
    #[arg(long, value_name = "N", value_parser = whole_number(1..=100_000_u32, "a whole number of rounds", 10))]
    pub(super) rounds: Option<u32>,
    /// Job file to run instead of the dataset's default job
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dataset", "rounds"])]
    pub(super) job: Option<PathBuf>,
    /// Compute backend for training
    #[arg(long, value_enum)]
    pub(super) backend: Option<BackendSetting>,
    /// Kill workers, trainers and the coordinator while they work
    ///
    /// On the CPU backend, the resulting model is still identical byte for byte.
    #[arg(long)]
    pub(super) chaos: bool,
    /// Seed for the order of the kills [default: random]
    #[arg(long, requires = "chaos", hide = true,
        value_parser = whole_number(0..=u64::MAX, "a whole number", 7))]
    pub(super) chaos_seed: Option<u64>,
    /// Keep the demo's folder with logs, job file and data
    #[arg(long)]
    pub(super) keep: bool,
    /// Print results as JSON
    #[arg(long)]
    pub(super) json: bool,
}
