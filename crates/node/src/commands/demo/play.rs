//! Runs the demo: starts the processes, submits the job, follows it and performs the planned kills.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use coordinator::{ObserverEvent, StepPhase};
use protocol::api::{Job, JobStatus};
use protocol::dataset::DatasetEntry;
use protocol::job::JobSpec;
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use worker::Status;

use super::arguments::DemoArguments;
use super::chaos::{Action, Chaos, Doing, Observation};
use super::locations::note_dataset;
use super::screen::Screen;
use super::summary::{Kills, Summary};
use super::task;
use crate::client::{Client, ClientError};
use crate::commands::job::{Follower, JobUpdate, change_job};
use crate::commands::local_cluster::{
    Joining, LocalCluster, ProcessEvent, ProcessOutput, ProcessRole,
};
use crate::commands::status_text;
use crate::output;
use crate::rounds::RoundLine;

pub(super) struct Play {
    folder: PathBuf,
    cluster: LocalCluster,
    events: mpsc::UnboundedReceiver<ProcessEvent>,
    screen: Screen,
    chaos: Option<Chaos>,
    kills: Kills,
    /// Killed processes whose exit has not been observed yet.
    dying: Vec<ProcessRole>,
    joining: Option<Joining>,
    port: u16,
    /// Upload limit in megabits per second of workers that are started under `--chaos`.
    upload_limit: f64,
    follower: Option<JoinHandle<()>>,
}

/// Reason to continue.
enum Woken {
    Event(ProcessEvent),
    Update(Box<Result<JobUpdate, ClientError>>),
}

impl Play {
    pub(super) fn new(
        folder: &Path,
        cluster: LocalCluster,
        events: mpsc::UnboundedReceiver<ProcessEvent>,
        screen: Screen,
        chaos: Option<Chaos>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            cluster,
            events,
            screen,
            chaos,
            kills: Kills::default(),
            dying: Vec::new(),
            joining: None,
            port: 0,
            upload_limit: 0.0,
            follower: None,
        }
    }

    /// Runs the whole demo.
    pub(super) async fn run(&mut self, arguments: &DemoArguments) -> anyhow::Result<Summary> {
        let begun = Instant::now();
        let client = self.open().await?;
        let spec = self.prepare(&client, arguments).await?;
        let uses = Some(u32::from(arguments.workers));
        let code = JoinCodeRequest { name: "demo".into(), uses, expires_in: None };
        let code: CreatedJoinCode = client.post("/join-codes", &code).await?;
        if let Some(joining) = &mut self.joining {
            joining.link = code.link;
        }
        for worker in 0..usize::from(arguments.workers) {
            self.start_worker(worker)?;
        }
        let job: Job = client.post("/jobs", &spec).await?;
        change_job(&client, job.id, "start").await?;
        let job = self.watch(client, job).await?;
        let seconds = begun.elapsed().as_secs_f64();
        self.screen.clear();
        let (Some(test_accuracy), Some(model_blake3)) = (job.test_accuracy, job.model_blake3)
        else {
            bail!("the job ended without a model");
        };
        if let Some(chaos) = &self.chaos {
            self.screen.note(format_args!("chaos: {}", chaos.hits()));
            if let Some(missing) = chaos.missing() {
                output::warning(format_args!(
                    "some planned kills did not happen: {missing}. The model is not affected. For more kills, run again \
                     with more --rounds"
                ));
            }
        }
        Ok(Summary {
            dataset: job.dataset,
            rounds: job.current_epoch,
            test_accuracy,
            model_blake3,
            seconds,
            leases_lost: job.leases_lost,
            kills: self.kills,
        })
    }

    /// Stops all processes.
    pub(super) async fn end(&mut self) {
        self.screen.clear();
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
        self.cluster.stop().await;
    }

    /// Starts the coordinator; returns a client for it.
    async fn open(&mut self) -> anyhow::Result<Client> {
        let coordinator = self.cluster.open(0, &mut self.events).await?;
        self.port = coordinator.port;
        self.joining = Some(Joining { cluster: coordinator.cluster, link: String::new() });
        Ok(coordinator.client)
    }

    /// Chooses the job and writes it to a file.
    async fn prepare(
        &mut self,
        client: &Client,
        arguments: &DemoArguments,
    ) -> anyhow::Result<JobSpec> {
        let datasets: Vec<DatasetEntry> = client.get("/datasets").await?;
        let spec = task::job(arguments, &datasets)?;
        task::write(&spec, &self.folder.join("job.toml"))?;
        let dataset = task::find(&datasets, &spec.dataset)?;
        note_dataset(&self.screen, dataset);
        if self.chaos.is_some() {
            self.upload_limit = task::slow_upload(&spec, dataset)?;
            self.cluster.limit_upload(self.upload_limit);
        }
        Ok(spec)
    }

    /// Follows the job until it ends.
    async fn watch(&mut self, client: Client, job: Job) -> anyhow::Result<Job> {
        let (told, mut update) = mpsc::unbounded_channel();
        let mut follower = Follower::new(client, job.id);
        self.follower = Some(tokio::spawn(async move {
            loop {
                let next = follower.next().await;
                let is_last = next.is_err();
                if told.send(next).is_err() || is_last {
                    return;
                }
            }
        }));
        loop {
            let woken = tokio::select! {
                // Process events come first, so that a kill happens while its target is still in the right state.
                biased;
                Some(event) = self.events.recv() => Woken::Event(event),
                Some(update) = update.recv() => Woken::Update(Box::new(update)),
                else => bail!("the demo's processes and its job can no longer be followed"),
            };
            match woken {
                Woken::Event(event) => self.handle(event).await?,
                Woken::Update(update) => {
                    let update = (*update)?;
                    self.apply_update(&update)?;
                    match update.job.status {
                        JobStatus::Completed => return Ok(update.job),
                        JobStatus::Failed | JobStatus::Cancelled => {
                            let reason = update.job.reason.unwrap_or_default();
                            bail!("the job did not complete: {reason}");
                        }
                        JobStatus::Pending
                        | JobStatus::Preparing
                        | JobStatus::Running
                        | JobStatus::Paused => {}
                    }
                }
            }
        }
    }

    fn apply_update(&mut self, update: &JobUpdate) -> anyhow::Result<()> {
        for line in update.closed.iter().filter_map(RoundLine::from_round) {
            self.screen.round(&line)?;
        }
        self.screen.job(&update.job);
        self.see(Observation::Job {
            leases_lost: update.job.leases_lost,
            closed_rounds: update.job.current_epoch,
            rounds: update.job.total_epochs,
        })
    }

    async fn handle(&mut self, event: ProcessEvent) -> anyhow::Result<()> {
        if !self.cluster.is_current(&event) {
            return Ok(());
        }
        match (event.role, event.output) {
            (ProcessRole::Worker(worker), ProcessOutput::Line(line)) => {
                let status = serde_json::from_str(&line).with_context(|| {
                    format!("unexpected line of worker {}: '{line}'", worker + 1)
                })?;
                self.screen.worker(worker, &status_text::with_steps(&status));
                self.see(Observation::Worker { worker, doing: doing(&status) })
            }
            (ProcessRole::Coordinator, ProcessOutput::Line(line)) => {
                match serde_json::from_str(&line) {
                    Ok(ObserverEvent::Aggregating { round, .. }) => {
                        self.see(Observation::Aggregating { round })
                    }
                    Ok(ObserverEvent::Resumed { phase: StepPhase::Aggregating, .. }) => {
                        self.see(Observation::AggregationResumed)
                    }
                    // Other phases, and the opening line of a restart.
                    Ok(ObserverEvent::Resumed { .. }) | Err(_) => Ok(()),
                }
            }
            (role, ProcessOutput::Ended) => {
                let words = self.cluster.reap(role).await;
                let Some(known) = self.dying.iter().position(|dying| *dying == role) else {
                    match role {
                        ProcessRole::Coordinator => {
                            bail!("the coordinator exited unexpectedly: {words}")
                        }
                        ProcessRole::Worker(worker) => {
                            bail!("worker {} exited unexpectedly: {words}", worker + 1)
                        }
                    }
                };
                self.dying.swap_remove(known);
                match role {
                    ProcessRole::Coordinator => self.see(Observation::CoordinatorEnded),
                    ProcessRole::Worker(worker) => self.see(Observation::WorkerEnded { worker }),
                }
            }
        }
    }

    fn see(&mut self, sight: Observation) -> anyhow::Result<()> {
        let Some(chaos) = &mut self.chaos else { return Ok(()) };
        let actions = chaos.handle(sight);
        actions.into_iter().try_for_each(|action| self.perform(action))
    }

    fn perform(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::KillWorker { worker, why } => {
                self.dying.push(ProcessRole::Worker(worker));
                self.cluster.kill(ProcessRole::Worker(worker))?;
                self.kills.workers += 1;
                self.screen.note(format_args!("chaos: worker {} killed {why}", worker + 1));
                self.screen.worker(worker, "killed");
            }
            Action::KillTrainer { worker, pid } => {
                // It may have ended in the meantime.
                let was_running = platform::process::kill(pid).is_ok();
                if was_running {
                    self.kills.trainers += 1;
                    self.screen
                        .note(format_args!("chaos: trainer of worker {} killed", worker + 1));
                }
                self.see(Observation::TrainerKilled { was_running })?;
            }
            Action::KillCoordinator { round } => {
                self.dying.push(ProcessRole::Coordinator);
                self.cluster.kill(ProcessRole::Coordinator)?;
                self.kills.coordinators += 1;
                let what = format!("while it aggregated round {round}");
                self.screen.note(format_args!("chaos: coordinator killed {what}"));
            }
            Action::StartWorker { worker } => self.start_worker(worker)?,
            Action::StartCoordinator => self.cluster.start_coordinator(self.port)?,
            Action::SlowUploads => {
                self.upload_limit /= 2.0;
                self.cluster.limit_upload(self.upload_limit);
            }
        }
        Ok(())
    }

    fn start_worker(&mut self, worker: usize) -> anyhow::Result<()> {
        let joining = self.joining.as_ref().context("there is no coordinator to join")?;
        self.cluster.start_worker(worker, joining)
    }
}

/// Reduces a status to what the planned kills depend on.
fn doing(status: &Status) -> Doing {
    match status {
        Status::Training { lease, round, step, trainer_pid, .. } => {
            Doing::Training { lease: *lease, round: *round, step: *step, trainer: *trainer_pid }
        }
        Status::Uploading { lease, .. } => Doing::Uploading { lease: *lease },
        Status::Reported { lease, .. } => Doing::Reported { lease: *lease },
        Status::Connecting
        | Status::Registered { .. }
        | Status::JoinFailed { .. }
        | Status::Waiting
        | Status::Quarantined { .. }
        | Status::AwaitingApproval
        | Status::Fetching { .. }
        | Status::Lost { .. }
        | Status::Returned { .. }
        | Status::Held { .. }
        | Status::Limited { .. }
        | Status::Offline { .. }
        | Status::Wiped { .. }
        | Status::Stopped => Doing::Other,
    }
}
