//! The coordinator as a process of its own, and what it and this one take of the machine.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use protocol::Pin;
use serde::Deserialize;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Between two looks at a process.
const SAMPLING: Duration = Duration::from_millis(200);

/// `constellation coordinator`; it ends with this process.
pub(crate) struct Coordinator {
    child: Child,
    /// Where it listens, as `host:port`.
    pub(crate) authority: String,
    pub(crate) cluster: String,
    pub(crate) pin: Pin,
    /// An administrator's.
    pub(crate) token: String,
    /// The cluster's certificate, as PEM.
    pub(crate) certificate: Vec<u8>,
}

/// The first line of its standard output.
#[derive(Deserialize)]
struct Opening {
    url: String,
    cluster: String,
    pin: Pin,
}

impl Coordinator {
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["coordinator", "--json", "--no-discovery", "--exit-with-parent"])
            .args(["--listen", "127.0.0.1:0", "--name", "load", "--backend", "cpu", "--data-dir"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let stdout = child.stdout.take().context("the coordinator has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next().context("the coordinator ended at once")??;
        let opening: Opening = serde_json::from_str(&line).context(line)?;
        // What it tells later is not needed, and must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let (_, authority) = opening.url.split_once("://").context("a URL without a scheme")?;
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))
        };
        Ok(Self {
            authority: authority.trim_end_matches('/').to_owned(),
            cluster: opening.cluster,
            pin: opening.pin,
            token: String::from_utf8(read("admin-token")?)?.trim().to_owned(),
            certificate: read("cluster/certificate.pem")?,
            child,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in an orderly way.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("the coordinator can't be waited for")?;
        ensure!(status.success(), "the coordinator ended with {status}");
        Ok(())
    }
}

/// Looks at the coordinator and at this process all the time.
pub(crate) struct Meter(Arc<Mutex<Vec<Sample>>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Of the coordinator, resident.
    bytes: u64,
    coordinator: Duration,
    generator: Duration,
}

/// A moment in a measurement.
pub(crate) struct Moment<'a> {
    meter: &'a Meter,
    at: Instant,
}

/// What was taken of the machine between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) wall: Duration,
    /// The coordinator's resident memory: its mean and its most.
    pub(crate) bytes: u64,
    pub(crate) most_bytes: u64,
    /// Seconds of processor time.
    pub(crate) coordinator: Duration,
    pub(crate) generator: Duration,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> anyhow::Result<Self> {
        let (coordinator, generator) = (Pid::from_u32(pid), Pid::from_u32(std::process::id()));
        let mut system = System::new();
        let mut look = move || {
            let what = ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks();
            let both = [coordinator, generator];
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&both), true, what);
            let (coordinator, generator) = (system.process(both[0])?, system.process(both[1])?);
            let time =
                |process: &sysinfo::Process| Duration::from_millis(process.accumulated_cpu_time());
            Some(Sample {
                at: Instant::now(),
                bytes: coordinator.memory(),
                coordinator: time(coordinator),
                generator: time(generator),
            })
        };
        let first = look().context("this system doesn't tell what a process takes")?;
        let samples = Arc::new(Mutex::new(vec![first]));
        let meter = Self(samples.clone());
        thread::spawn(move || {
            // Ends with the coordinator, or with this process.
            while let Some(sample) = look() {
                samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                thread::sleep(SAMPLING);
            }
        });
        Ok(meter)
    }

    pub(crate) fn now(&self) -> Moment<'_> {
        Moment { meter: self, at: Instant::now() }
    }
}

impl Moment<'_> {
    pub(crate) fn since(&self, earlier: &Self) -> Taken {
        let samples = self.meter.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = samples.last().copied();
        let within: Vec<Sample> = samples
            .iter()
            .filter(|sample| (earlier.at..=self.at).contains(&sample.at))
            .copied()
            .chain(last)
            .collect();
        let spent = |of: fn(&Sample) -> Duration| {
            let ends = within.first().zip(within.last());
            ends.map_or(Duration::ZERO, |(first, last)| of(last).saturating_sub(of(first)))
        };
        let bytes = within.iter().map(|sample| sample.bytes);
        Taken {
            wall: self.at.duration_since(earlier.at),
            bytes: bytes.clone().sum::<u64>() / within.len().max(1) as u64,
            most_bytes: bytes.max().unwrap_or(0),
            coordinator: spent(|sample| sample.coordinator),
            generator: spent(|sample| sample.generator),
        }
    }
}
