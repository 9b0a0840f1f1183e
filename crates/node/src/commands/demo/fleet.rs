//! The demo's coordinator and workers as processes: how each is started, killed and ended.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use super::process::{Heard, Process, ProcessRole};
use crate::settings::BackendSetting;

/// For a process that was asked to end.
const GRACE: Duration = Duration::from_secs(10);
/// A lease that lapses shows within a demo.
pub(super) const LEASE_SECONDS: u32 = 5;

/// One role's process, where it runs, and how often it was started.
#[derive(Debug, Default)]
struct Slot {
    process: Option<Process>,
    starts: u32,
}

/// How workers find and join their coordinator.
#[derive(Debug, Clone)]
pub(super) struct Joining {
    pub(super) cluster: String,
    /// Of a join code.
    pub(super) link: String,
}

#[derive(Debug)]
pub(super) struct Fleet {
    folder: PathBuf,
    backend: BackendSetting,
    maximum_upload_mbps: Option<f64>,
    heard: mpsc::UnboundedSender<Heard>,
    coordinator: Slot,
    workers: Vec<Slot>,
}

impl Fleet {
    /// A fleet of `workers` in `folder`, none of them started.
    pub(super) fn new(
        folder: &Path,
        workers: usize,
        backend: BackendSetting,
        heard: mpsc::UnboundedSender<Heard>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            backend,
            maximum_upload_mbps: None,
            heard,
            coordinator: Slot::default(),
            workers: (0..workers).map(|_| Slot::default()).collect(),
        }
    }

    /// From the next start on, workers send at most this.
    pub(super) fn limit_upload(&mut self, megabits_per_second: f64) {
        self.maximum_upload_mbps = Some(megabits_per_second);
    }

    pub(super) fn coordinator_folder(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// Port 0 takes a free one.
    pub(super) fn start_coordinator(&mut self, port: u16) -> anyhow::Result<()> {
        let mut arguments = words(&["coordinator", "--name", "demo", "--listen"]);
        arguments.push(format!("127.0.0.1:{port}").into());
        arguments.push("--lease-patience".into());
        arguments.push(LEASE_SECONDS.to_string().into());
        arguments.push("--data-dir".into());
        arguments.push(self.coordinator_folder().into());
        self.start(ProcessRole::Coordinator, "coordinator", arguments)
            .context("can't start a coordinator")
    }

    pub(super) fn start_worker(&mut self, worker: usize, joining: &Joining) -> anyhow::Result<()> {
        let number = worker + 1;
        let name = format!("worker-{number}");
        let mut arguments = words(&["worker", "--when", "always", "--name", &name]);
        arguments.extend(words(&["--instance", &number.to_string()]));
        arguments.extend(words(&["--cluster", &joining.cluster, "--join", &joining.link]));
        arguments.push("--data-dir".into());
        arguments.push(worker_folder(&self.folder, worker).into());
        if let Some(limit) = self.maximum_upload_mbps {
            arguments.extend(words(&["--max-upload-mbps", &limit.to_string()]));
        }
        self.start(ProcessRole::Worker(worker), &name, arguments).context("can't start a worker")
    }

    fn start(
        &mut self,
        role: ProcessRole,
        name: &str,
        mut arguments: Vec<OsString>,
    ) -> io::Result<()> {
        arguments.extend(words(&["--json", "--exit-with-parent"]));
        arguments.extend(words(&["--backend", &self.backend.to_string()]));
        let log = self.folder.join(format!("{name}.log"));
        let heard = self.heard.clone();
        let slot = self.slot(role);
        slot.starts += 1;
        slot.process = Some(Process::start(role, slot.starts, &arguments, &log, heard)?);
        Ok(())
    }

    /// Whether the words are of the process that plays the role now.
    pub(super) fn is_current(&mut self, heard: &Heard) -> bool {
        self.slot(heard.role).starts == heard.start
    }

    /// SIGKILL; its end will be heard.
    pub(super) fn kill(&mut self, role: ProcessRole) -> io::Result<()> {
        match &mut self.slot(role).process {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Clears away a process whose end was heard; its last words.
    pub(super) async fn bury(&mut self, role: ProcessRole) -> String {
        match self.slot(role).process.take() {
            Some(mut process) => {
                process.reap().await;
                process.last_words()
            }
            None => String::new(),
        }
    }

    /// Ends every process in order: the workers, then the coordinator they speak to.
    pub(super) async fn stop(&mut self) {
        let workers = self.workers.iter_mut().filter_map(|slot| slot.process.take());
        futures::future::join_all(workers.map(|process| process.stop(GRACE))).await;
        if let Some(coordinator) = self.coordinator.process.take() {
            coordinator.stop(GRACE).await;
        }
    }

    fn slot(&mut self, role: ProcessRole) -> &mut Slot {
        match role {
            ProcessRole::Coordinator => &mut self.coordinator,
            ProcessRole::Worker(worker) => &mut self.workers[worker],
        }
    }
}

/// The data folder of a worker, which is counted from 0.
pub(super) fn worker_folder(folder: &Path, worker: usize) -> PathBuf {
    folder.join(format!("worker-{}", worker + 1))
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
