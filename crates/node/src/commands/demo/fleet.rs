//! Starts, kills and stops the demo's coordinator and worker processes.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::process::{Heard, Process, ProcessRole};
use crate::settings::BackendSetting;

/// Time that a process has to exit after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Lease timeout of the demo, in seconds: short, so that lost leases expire within the demo.
pub(super) const LEASE_TIMEOUT_SECONDS: u32 = 5;

/// The current process of one role, if it runs, and how often it was started.
#[derive(Debug, Default)]
struct Slot {
    process: Option<Process>,
    starts: u32,
}

/// Cluster id and join link that workers are started with.
#[derive(Debug, Clone)]
pub(super) struct Joining {
    pub(super) cluster: String,
    /// Join link.
    pub(super) link: String,
}

#[derive(Debug)]
pub(super) struct Fleet {
    folder: PathBuf,
    backend: BackendSetting,
    maximum_upload_mbps: Option<f64>,
    events: mpsc::UnboundedSender<Heard>,
    coordinator: Slot,
    workers: Vec<Slot>,
}

impl Fleet {
    /// Creates a fleet of `workers` in `folder`; starts nothing.
    pub(super) fn new(
        folder: &Path,
        workers: usize,
        backend: BackendSetting,
        events: mpsc::UnboundedSender<Heard>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            backend,
            maximum_upload_mbps: None,
            events,
            coordinator: Slot::default(),
            workers: (0..workers).map(|_| Slot::default()).collect(),
        }
    }

    /// Limits the upload rate of workers that are started from now on.
    pub(super) fn limit_upload(&mut self, megabits_per_second: f64) {
        self.maximum_upload_mbps = Some(megabits_per_second);
    }

    pub(super) fn coordinator_folder(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// Starts the coordinator on `port`; port 0 selects a free port.
    pub(super) fn start_coordinator(&mut self, port: u16) -> anyhow::Result<()> {
        let mut arguments = arguments_from(&["coordinator", "--name", "demo", "--listen"]);
        arguments.push(format!("127.0.0.1:{port}").into());
        arguments.push("--lease-timeout".into());
        arguments.push(LEASE_TIMEOUT_SECONDS.to_string().into());
        arguments.push("--data-dir".into());
        arguments.push(self.coordinator_folder().into());
        self.start(ProcessRole::Coordinator, "coordinator", arguments)
            .context("can't start a coordinator")
    }

    pub(super) fn start_worker(&mut self, worker: usize, joining: &Joining) -> anyhow::Result<()> {
        let number = worker + 1;
        let name = format!("worker-{number}");
        let mut arguments = arguments_from(&["worker", "--when", "always", "--name", &name]);
        arguments.extend(arguments_from(&["--instance", &number.to_string()]));
        arguments.extend(arguments_from(&["--cluster", &joining.cluster, "--join", &joining.link]));
        arguments.push("--data-dir".into());
        arguments.push(worker_folder(&self.folder, worker).into());
        if let Some(limit) = self.maximum_upload_mbps {
            arguments.extend(arguments_from(&["--max-upload-mbps", &limit.to_string()]));
        }
        self.start(ProcessRole::Worker(worker), &name, arguments).context("can't start a worker")
    }

    fn start(
        &mut self,
        role: ProcessRole,
        name: &str,
        mut arguments: Vec<OsString>,
    ) -> io::Result<()> {
        arguments.extend(arguments_from(&["--json", "--exit-with-parent"]));
        arguments.extend(arguments_from(&["--backend", &self.backend.to_string()]));
        let log = self.folder.join(format!("{name}.log"));
        let events = self.events.clone();
        let slot = self.slot(role);
        slot.starts += 1;
        slot.process = Some(Process::start(role, slot.starts, &arguments, &log, events)?);
        Ok(())
    }

    /// Whether the event comes from the current process of its role, not from a killed predecessor.
    pub(super) fn is_current(&mut self, heard: &Heard) -> bool {
        self.slot(heard.role).starts == heard.start
    }

    /// Sends SIGKILL. The exit is reported as an event.
    pub(super) fn kill(&mut self, role: ProcessRole) -> io::Result<()> {
        match &mut self.slot(role).process {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Reaps a process that has exited; returns the last lines of its log.
    pub(super) async fn bury(&mut self, role: ProcessRole) -> String {
        match self.slot(role).process.take() {
            Some(mut process) => {
                process.reap().await;
                process.log_tail()
            }
            None => String::new(),
        }
    }

    /// Stops all processes: first the workers, then the coordinator.
    pub(super) async fn stop(&mut self) {
        let workers = self.workers.iter_mut().filter_map(|slot| slot.process.take());
        futures::future::join_all(workers.map(|process| process.stop(STOP_TIMEOUT))).await;
        if let Some(coordinator) = self.coordinator.process.take() {
            coordinator.stop(STOP_TIMEOUT).await;
        }
    }

    fn slot(&mut self, role: ProcessRole) -> &mut Slot {
        match role {
            ProcessRole::Coordinator => &mut self.coordinator,
            ProcessRole::Worker(worker) => &mut self.workers[worker],
        }
    }
}

/// The data folder of a worker, numbered from 0.
pub(super) fn worker_folder(folder: &Path, worker: usize) -> PathBuf {
    folder.join(format!("worker-{}", worker + 1))
}

fn arguments_from(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
