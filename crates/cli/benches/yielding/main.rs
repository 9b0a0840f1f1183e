//! How long a touch waits until no training work is left on this machine: real input on a real display,
//! a real worker and its trainer, the largest preset. `make bench-yield` runs it.
//!
//! The clock starts before the input is made and ends when the trainer's threads were last seen to
//! have run, or when its process was gone. Touches are spread over what a trainer does: warm-up (its
//! start, reading and the first batch), steps, checkpoints; and evaluation, which only a coordinator's
//! own trainer does: there the same sensor and the same supervision are asked directly.

mod cluster;
mod desk;
mod evaluation;
mod report;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;

use cluster::{Cluster, StepPhase};
use desk::Desk;
use evaluation::Evaluation;
use report::{Report, Touch};

#[derive(Debug, Parser)]
#[command(about = "Measures how long training goes on after a touch", max_term_width = 100)]
struct Arguments {
    /// Touches in all; a fifth of them during evaluation
    #[arg(long, default_value_t = 500)]
    touches: usize,
    /// Threads that the trainer computes with
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// The program to measure [default: this repository's, built with this one]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_constellation"))]
    program: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// Without input for so long this machine counts as idle here.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.touches >= 5, "fewer than 5 touches measure nothing: raise --touches");
    let folder = tempfile::tempdir().context("no folder for the cluster")?;
    let mut desk = Desk::start()?;
    let evaluations = arguments.touches / 5;
    let mut report = Report::default();

    let mut cluster = Cluster::start(&arguments.program, folder.path(), arguments.threads)?;
    let mut chance = report::Dice::default();
    let aims = [StepPhase::WarmUp, StepPhase::Step, StepPhase::Checkpoint, StepPhase::Step];
    let mut aims = aims.into_iter().cycle();
    let mut number = 0;
    while number < arguments.touches - evaluations {
        let aim = aims.next().unwrap_or(StepPhase::Step);
        let delay = Duration::from_millis(match aim {
            StepPhase::WarmUp => chance.below(200),
            StepPhase::Step => chance.below(600),
            StepPhase::Checkpoint | StepPhase::Evaluation => 0,
        });
        let trainer = cluster.until(aim)?;
        std::thread::sleep(delay);
        // It ended meanwhile by itself: nothing was touched.
        let Some(phase) = cluster.phase(trainer) else { continue };
        let touch = watch::touch(&mut desk, trainer)?;
        report.add(Touch { phase, ..touch });
        number += 1;
        report.progress(number, arguments.touches);
    }
    cluster.stop()?;
    let evaluation = Evaluation::prepare(&arguments, folder.path())?;
    for number in 0..evaluations {
        report.add(evaluation.touch(&mut desk, Duration::from_millis(chance.below(800)))?);
        report.progress(arguments.touches - evaluations + number + 1, arguments.touches);
    }
    report.show()
}
