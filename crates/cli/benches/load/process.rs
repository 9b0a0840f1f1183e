//! The coordinator as a separate process, and the resources that it and this process use.

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

/// Interval between two samples.
const SAMPLING: Duration = Duration::from_millis(200);

/// A `constellation coordinator` process; it stops with this process.
pub(crate) struct Coordinator {
    child: Child,
    /// Address that it listens on, as `host:port`.
    pub(crate) authority: String,
    pub(crate) cluster: String,
    pub(crate) pin: Pin,
    /// Token of an administrator.
    pub(crate) token: String,
    /// Certificate of the cluster, as PEM.
    pub(crate) certificate: Vec<u8>,
}

/// First line of the coordinator's standard output.
#[derive(Deserialize)]
struct Listening {
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
        let listening: Listening = serde_json::from_str(&line).context(line)?;
        // Later output is not needed, but must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let (_, authority) = listening.url.split_once("://").context("a URL without a scheme")?;
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))
        };
        Ok(Self {
            authority: authority.trim_end_matches('/').to_owned(),
            cluster: listening.cluster,
            pin: listening.pin,
            token: String::from_utf8(read("admin-token")?)?.trim().to_owned(),
            certificate: read("cluster/certificate.pem")?,
            child,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the coordinator gracefully.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("can't wait for the coordinator")?;
        ensure!(status.success(), "the coordinator ended with {status}");
        Ok(())
    }
}

/// Sampler of the coordinator's and this process's resources.
pub(crate) struct Meter(Arc<Mutex<Vec<Sample>>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Resident memory of the coordinator.
    bytes: u64,
    coordinator: Duration,
    generator: Duration,
}

/// Start or end of a measurement.
pub(crate) struct Mark<'a> {
    meter: &'a Meter,
    at: Instant,
}

/// Resources used between two times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// Mean resident memory of the coordinator; `most_bytes` is its peak.
    pub(crate) bytes: u64,
    pub(crate) peak_bytes: u64,
    /// Processor time.
    pub(crate) coordinator: Duration,
    pub(crate) generator: Duration,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> anyhow::Result<Self> {
        let (coordinator, generator) = (Pid::from_u32(pid), Pid::from_u32(std::process::id()));
        let mut system = System::new();
        let mut sample = move || {
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
        let first = sample().context("can't read the resources of a process on this system")?;
        let samples = Arc::new(Mutex::new(vec![first]));
        let meter = Self(samples.clone());
        thread::spawn(move || {
            // Ends with the coordinator or with this process.
            while let Some(next) = sample() {
                samples.lock().unwrap_or_else(PoisonError::into_inner).push(next);
                thread::sleep(SAMPLING);
            }
        });
        Ok(meter)
    }

    pub(crate) fn mark(&self) -> Mark<'_> {
        Mark { meter: self, at: Instant::now() }
    }
}

impl Mark<'_> {
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let samples = self.meter.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = samples.last().copied();
        let within: Vec<Sample> = samples
            .iter()
            .filter(|sample| (earlier.at..=self.at).contains(&sample.at))
            .copied()
            .chain(last)
            .collect();
        let spent = |time: fn(&Sample) -> Duration| {
            let ends = within.first().zip(within.last());
            ends.map_or(Duration::ZERO, |(first, last)| time(last).saturating_sub(time(first)))
        };
        let bytes = within.iter().map(|sample| sample.bytes);
        Usage {
            wall: self.at.duration_since(earlier.at),
            bytes: bytes.clone().sum::<u64>() / within.len().max(1) as u64,
            peak_bytes: bytes.max().unwrap_or(0),
            coordinator: spent(|sample| sample.coordinator),
            generator: spent(|sample| sample.generator),
        }
    }
}
