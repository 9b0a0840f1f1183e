//! Cluster on this machine: starts, stops and kills a coordinator and workers as separate
//! processes.

mod process;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use protocol::Pin;
use tokio::sync::mpsc;

use super::coordinator::Opening;
use crate::client::{Access, Client};
use crate::settings::BackendSetting;
use process::Process;
pub(crate) use process::{ProcessEvent, ProcessOutput, ProcessRole};

/// Maximum time from SIGTERM until a process exits.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time from the coordinator's start until it listens.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// Process of one role, if it is running, and the number of its starts.
#[derive(Debug, Default)]
struct Slot {
    process: Option<Process>,
    starts: u32,
}

/// Arguments with which a worker joins the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Joining {
    /// Cluster id.
    pub(crate) cluster: String,
    /// Join link.
    pub(crate) link: String,
}

/// Options for starting the processes of a local cluster.
#[derive(Debug, Clone)]
pub(crate) struct LocalClusterOptions {
    pub(crate) name: &'static str,
    pub(crate) workers: usize,
    pub(crate) backend: BackendSetting,
    pub(crate) lease_timeout_seconds: u32,
}

/// Running coordinator: a client for it, its cluster id and its port.
#[derive(Debug)]
pub(crate) struct LocalCoordinator {
    pub(crate) client: Client,
    pub(crate) cluster: String,
    pub(crate) port: u16,
}

#[derive(Debug)]
pub(crate) struct LocalCluster {
    folder: PathBuf,
    options: LocalClusterOptions,
    maximum_upload_mbps: Option<f64>,
    events: mpsc::UnboundedSender<ProcessEvent>,
    coordinator: Slot,
    workers: Vec<Slot>,
}

impl LocalCluster {
    /// Returns a cluster with its data in `folder`. Starts no process.
    pub(crate) fn new(
        folder: &Path,
        options: LocalClusterOptions,
        events: mpsc::UnboundedSender<ProcessEvent>,
    ) -> Self {
        let workers = options.workers;
        Self {
            folder: folder.to_owned(),
            options,
            maximum_upload_mbps: None,
            events,
            coordinator: Slot::default(),
            workers: (0..workers).map(|_| Slot::default()).collect(),
        }
    }

    /// Limits the upload rate of workers that are started from now on.
    pub(crate) fn limit_upload(&mut self, megabits_per_second: f64) {
        self.maximum_upload_mbps = Some(megabits_per_second);
    }

    pub(crate) fn coordinator_folder(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// Starts the coordinator on `port`; port 0 selects a free port.
    pub(crate) fn start_coordinator(&mut self, port: u16) -> anyhow::Result<()> {
        let mut arguments =
            arguments_from(&["coordinator", "--name", self.options.name, "--listen"]);
        arguments.push(format!("127.0.0.1:{port}").into());
        arguments.push("--lease-timeout".into());
        arguments.push(self.options.lease_timeout_seconds.to_string().into());
        arguments.push("--data-dir".into());
        arguments.push(self.coordinator_folder().into());
        self.start(ProcessRole::Coordinator, "coordinator", arguments)
            .context("can't start a coordinator")
    }

    /// Starts the coordinator and waits until it listens.
    ///
    /// # Errors
    /// Fails if the coordinator exits or does not listen in time. If it exited, the error contains
    /// the end of its log.
    pub(crate) async fn open(
        &mut self,
        port: u16,
        events: &mut mpsc::UnboundedReceiver<ProcessEvent>,
    ) -> anyhow::Result<LocalCoordinator> {
        self.start_coordinator(port)?;
        let first = tokio::time::timeout(START_TIMEOUT, events.recv()).await;
        let (url, cluster, pin): (String, String, Pin) = match first {
            Ok(Some(ProcessEvent { output: ProcessOutput::Line(line), .. })) => {
                let Opening::Listening { url, cluster, pin } = serde_json::from_str(&line)
                    .with_context(|| {
                        format!("unexpected first line of the coordinator: '{line}'")
                    })?;
                (url, cluster, pin)
            }
            Ok(_) => {
                let log_tail = self.reap(ProcessRole::Coordinator).await;
                bail!("the coordinator did not start: {log_tail}");
            }
            Err(_) => {
                bail!("the coordinator did not start within {} s", START_TIMEOUT.as_secs())
            }
        };
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("no port in '{url}'"))?;
        let data_dir = self.coordinator_folder();
        let access = Access { address: Some(url), pin: Some(pin), token: None, data_dir };
        Ok(LocalCoordinator { client: Client::new(&access)?, cluster, port })
    }

    pub(crate) fn start_worker(&mut self, worker: usize, joining: &Joining) -> anyhow::Result<()> {
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
        arguments.extend(arguments_from(&["--backend", &self.options.backend.to_string()]));
        let log = self.folder.join(format!("{name}.log"));
        let events = self.events.clone();
        let slot = self.slot(role);
        slot.starts += 1;
        slot.process = Some(Process::start(role, slot.starts, &arguments, &log, events)?);
        Ok(())
    }

    /// Returns whether the event comes from the current process of its role, not from an earlier
    /// one.
    pub(crate) fn is_current(&mut self, event: &ProcessEvent) -> bool {
        self.slot(event.role).starts == event.start
    }

    /// Sends SIGKILL. The exit is reported as an event.
    pub(crate) fn kill(&mut self, role: ProcessRole) -> io::Result<()> {
        match &mut self.slot(role).process {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Waits for a process that has exited. Returns the last lines of its log.
    pub(crate) async fn reap(&mut self, role: ProcessRole) -> String {
        match self.slot(role).process.take() {
            Some(mut process) => {
                process.reap().await;
                process.log_tail()
            }
            None => String::new(),
        }
    }

    /// Stops all processes: first the workers, then the coordinator.
    pub(crate) async fn stop(&mut self) {
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

/// Returns the data folder of a worker. Workers are numbered from 0, their folders from 1.
pub(crate) fn worker_folder(folder: &Path, worker: usize) -> PathBuf {
    folder.join(format!("worker-{}", worker + 1))
}

fn arguments_from(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
