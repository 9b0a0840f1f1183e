//! Load test of one real coordinator: ten thousand enrolled devices, each with one connection that
//! carries an open request for work and heartbeats, then a round of a thousand updates. `make
//! bench-load` runs it. The load generator is a separate process from the coordinator.
//!
//! Latency is measured from the time when a heartbeat was due, not from when it was sent: so it
//! includes delays of the generator and of the coordinator.

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

/// Open files besides the devices' connections.
const OTHER_FILES: u64 = 1_500;
/// Disk space besides the updates, in bytes: shards, the database, the log.
const OTHER_BYTES: u64 = 500_000_000;

#[derive(Debug, Parser)]
#[command(about = "Load test of one coordinator with many devices", max_term_width = 100)]
struct Arguments {
    /// Number of devices, each with its own connection
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Duration of the heartbeat measurement in seconds; it starts when every device has sent one
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Fraction of heartbeats that report a new state; the coordinator writes it to disk before it
    /// responds
    #[arg(long, default_value_t = 0.05)]
    changes: f64,
    /// Number of updates in the round that follows; 0 skips the round
    #[arg(long, default_value_t = 1_000)]
    updates: u32,
    /// Approximate number of parameters of the round's model
    #[arg(long, default_value_t = 1_000_000)]
    parameters: u32,
    /// Parent folder of the coordinator's temporary data folder [default: the system's]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Use an existing data folder with its contents instead; it is not deleted
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    data_dir: Option<PathBuf>,
    /// Print `ready` on standard output once every device is waiting, and run without measuring
    /// until standard input closes; `ui/bench` uses it
    #[arg(long)]
    hold: bool,
    /// Program to test [default: this repository's, built with this benchmark]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_constellation"))]
    program: PathBuf,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can't start the async runtime")?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let temporary = match &arguments.dir {
        Some(dir) => TempDir::new_in(dir),
        None => TempDir::new(),
    };
    let temporary = temporary.context("can't create a folder for the coordinator")?;
    let folder = arguments.data_dir.as_deref().unwrap_or(temporary.path());
    check_resources(arguments, folder)?;
    let updates = Arc::new(Updates::new(arguments.updates, arguments.parameters)?);
    let coordinator = Coordinator::start(&arguments.program, folder)?;
    let meter = Meter::start(coordinator.pid())?;
    let server = Arc::new(Server::new(&coordinator)?);
    let record = Arc::new(Record::default());
    node::output::note(format_args!("enrolling {} devices", arguments.devices));

    let started = meter.mark();
    let fleet = Fleet::enroll(&server, &record, &updates, arguments.devices).await?;
    let enrolled = meter.mark();
    node::output::note("starting heartbeats and requests for work");
    let mut fleet = fleet.start(arguments.changes);
    fleet.one_period().await;
    if arguments.hold {
        node::output::line("ready")?;
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        fleet.stop().await;
        return coordinator.stop();
    }
    let steady = meter.mark();
    record.set_stage(Stage::Steady);
    let wait = Duration::from_secs(arguments.seconds);
    node::output::note(format_args!("measuring for {} s", wait.as_secs()));
    tokio::time::sleep(wait).await;
    record.set_stage(Stage::Updates);
    let finished = meter.mark();
    let open_polls = record.open_polls();
    ensure!(!fleet.has_ended(), "a device stopped: {:?}", record.errors());

    let mut report =
        Report::new(arguments.devices, enrolled.since(&started), finished.since(&steady));
    report.add_record(&record, open_polls);
    if arguments.updates > 0 {
        let round_started = meter.mark();
        match updates.run_round(&server, &record).await {
            Ok(round) => report.add_round(&record, &round, meter.mark().since(&round_started)),
            Err(error) => record.failure(&error.context("the round")),
        }
    }
    record.set_stage(Stage::Done);
    fleet.stop().await;
    report.errors = record.errors();
    coordinator.stop()?;
    report.print()?;
    if !report.errors.is_empty() {
        bail!("{} requests failed", record.failed());
    }
    Ok(())
}

fn check_resources(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let files = platform::process::raise_open_files();
    let devices = u64::try_from(arguments.devices)?;
    ensure!(
        devices + OTHER_FILES <= files,
        "{devices} devices need as many open files, and the system allows {files} per process; \
         use a smaller --devices"
    );
    let round = u64::from(arguments.updates) * u64::from(arguments.parameters) * 4;
    let needed = round + OTHER_BYTES;
    let free = fs4::available_space(folder).context("can't read the free disk space")?;
    ensure!(
        needed <= free,
        "the test needs {} MB in {}, and {} MB are free; use another --dir or fewer --updates",
        needed / 1_000_000,
        folder.display(),
        free / 1_000_000
    );
    Ok(())
}
