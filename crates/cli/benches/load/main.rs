//! A company's worth of devices against one real coordinator: ten thousand enrolled devices, each
//! with one connection that carries an open request for work and a heartbeat, then a round of a
//! thousand updates. `make bench-load` runs it; this is its own process beside the coordinator's.
//!
//! Latency is counted from the moment when a heartbeat was due, not from when it was sent: a
//! generator or a coordinator that falls behind shows in it.

mod connection;
mod device;
mod fleet;
mod process;
mod record;
mod report;
mod updates;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use tempfile::TempDir;

use connection::Server;
use fleet::Fleet;
use process::{Coordinator, Meter};
use record::{Record, Stage};
use report::Report;
use updates::Updates;

/// Files that are open beside the devices' connections.
const OTHER_FILES: u64 = 1_500;
/// On the disk beside the updates: shards, the database, the log.
const OTHER_BYTES: u64 = 500_000_000;

#[derive(Debug, Parser)]
#[command(about = "Loads one coordinator with many devices", max_term_width = 100)]
struct Arguments {
    /// Devices, each with a connection of its own
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Seconds in which heartbeats are measured, once every device has sent one
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Share of heartbeats that tell a new state, which is written to the disk before the answer
    #[arg(long, default_value_t = 0.05)]
    changes: f64,
    /// Updates of the round that is taken afterwards; 0 = none
    #[arg(long, default_value_t = 1_000)]
    updates: u32,
    /// Parameters of the round's model: about so many
    #[arg(long, default_value_t = 1_000_000)]
    parameters: u32,
    /// Where the coordinator's folder is made, and removed afterwards [default: the system's]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A coordinator's folder to take instead, with what it has; it stays
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    data_dir: Option<PathBuf>,
    /// Say `ready` on standard output once every device waits, and measure nothing: go on until standard
    /// input ends. For what is measured elsewhere (`ui/bench`)
    #[arg(long)]
    hold: bool,
    /// The program to load [default: this repository's, built with this one]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_constellation"))]
    program: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let made = match &arguments.dir {
        Some(dir) => TempDir::new_in(dir),
        None => TempDir::new(),
    };
    let made = made.context("no folder for the coordinator")?;
    let folder = arguments.data_dir.as_deref().unwrap_or(made.path());
    check_room(arguments, folder)?;
    let updates = Arc::new(Updates::new(arguments.updates, arguments.parameters)?);
    let coordinator = Coordinator::start(&arguments.program, folder)?;
    let meter = Meter::start(coordinator.pid())?;
    let server = Arc::new(Server::of(&coordinator)?);
    let record = Arc::new(Record::default());
    node::output::note(format_args!("{} devices enrol", arguments.devices));

    let started = meter.now();
    let fleet = Fleet::enroll(&server, &record, &updates, arguments.devices).await?;
    let enrolled = meter.now();
    node::output::note("they begin to wait and to beat");
    let mut fleet = fleet.set_going(arguments.changes);
    fleet.one_period().await;
    if arguments.hold {
        node::output::line("ready")?;
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        fleet.stop().await;
        return coordinator.stop();
    }
    let steady = meter.now();
    record.enter(Stage::Steady);
    let wait = Duration::from_secs(arguments.seconds);
    node::output::note(format_args!("measuring for {} s", wait.as_secs()));
    tokio::time::sleep(wait).await;
    record.enter(Stage::Updates);
    let ended = meter.now();
    let open_polls = record.open_polls();
    ensure!(!fleet.has_ended(), "a device ended by itself: {:?}", record.errors());

    let mut report = Report::new(arguments.devices, enrolled.since(&started), ended.since(&steady));
    report.take(&record, open_polls);
    if arguments.updates > 0 {
        let began = meter.now();
        match updates.run_round(&server, &record).await {
            Ok(round) => report.take_round(&record, &round, meter.now().since(&began)),
            Err(error) => record.failure(&error.context("the round")),
        }
    }
    record.enter(Stage::Over);
    fleet.stop().await;
    report.errors = record.errors();
    coordinator.stop()?;
    report.show()?;
    if !report.errors.is_empty() {
        bail!("{} requests failed", record.failed());
    }
    Ok(())
}

fn check_room(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let files = platform::process::raise_open_files();
    let devices = u64::try_from(arguments.devices)?;
    ensure!(
        devices + OTHER_FILES <= files,
        "{devices} devices take as many open files, and the system lets a process have {files}; \
         give fewer --devices"
    );
    let round = u64::from(arguments.updates) * u64::from(arguments.parameters) * 4;
    let needed = round + OTHER_BYTES;
    let free = fs4::available_space(folder).context("how much room there is can't be told")?;
    ensure!(
        needed <= free,
        "{} MB are needed in {} and {} MB are free; give another --dir or fewer --updates",
        needed / 1_000_000,
        folder.display(),
        free / 1_000_000
    );
    Ok(())
}
