//! Measures the time from a touch until no training work is left on this machine: real input on a
//! real display, a real worker and its trainer, the largest preset. `make bench-yield` runs it.
//!
//! The clock starts before the input is made. It ends when the trainer's threads last ran, or when
//! its process ended. Touches are spread over the phases of a trainer: warm-up (start, reading data
//! and the first batch), steps and checkpoints. Evaluation is measured separately, with the same
//! sensor and the same supervision, because only a coordinator's own trainer evaluates.

mod cluster;
mod evaluation;
mod pointer;
mod report;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;

use cluster::{Cluster, TrainerPhase};
use evaluation::Evaluation;
use pointer::Pointer;
use report::{Report, Touch};

#[derive(Debug, Parser)]
#[command(about = "Measures how long training continues after a touch", max_term_width = 100)]
struct Arguments {
    /// Total number of touches; a fifth of them happen during evaluation
    #[arg(long, default_value_t = 500)]
    touches: usize,
    /// Number of compute threads of the trainer
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Program to measure [default: this repository's, built with this benchmark]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_constellation"))]
    program: PathBuf,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Time without input after which this machine counts as idle in this benchmark.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.touches >= 5, "--touches must be at least 5");
    let folder = tempfile::tempdir().context("can't create a folder for the cluster")?;
    let mut pointer = Pointer::start()?;
    let evaluations = arguments.touches / 5;
    let mut report = Report::default();

    let mut cluster = Cluster::start(&arguments.program, folder.path(), arguments.threads)?;
    let mut delays = report::DelaySequence::default();
    let aims =
        [TrainerPhase::WarmUp, TrainerPhase::Step, TrainerPhase::Checkpoint, TrainerPhase::Step];
    let mut aims = aims.into_iter().cycle();
    let mut number = 0;
    while number < arguments.touches - evaluations {
        let aim = aims.next().unwrap_or(TrainerPhase::Step);
        let delay = Duration::from_millis(match aim {
            TrainerPhase::WarmUp => delays.below(200),
            TrainerPhase::Step => delays.below(600),
            TrainerPhase::Checkpoint | TrainerPhase::Evaluation => 0,
        });
        let trainer = cluster.until(aim)?;
        std::thread::sleep(delay);
        // It ended by itself meanwhile: there was nothing to measure.
        let Some(phase) = cluster.phase(trainer) else { continue };
        let touch = watch::measure(&mut pointer, trainer)?;
        report.add(Touch { phase, ..touch });
        number += 1;
        report.progress(number, arguments.touches);
    }
    cluster.stop()?;
    let evaluation = Evaluation::prepare(&arguments, folder.path())?;
    for number in 0..evaluations {
        report.add(evaluation.measure(&mut pointer, Duration::from_millis(delays.below(800)))?);
        report.progress(arguments.touches - evaluations + number + 1, arguments.touches);
    }
    report.print()
}
