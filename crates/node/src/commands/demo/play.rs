//! The demo's course: start, submit, watch, strike, until the job is at its end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use coordinator::{Moment, Phase};
use protocol::api::{Job, JobStatus};
use protocol::dataset::DatasetEntry;
use protocol::job::JobSpec;
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use worker::Status;

use super::chaos::{Action, Chaos, Doing, Sight};
use super::fleet::{Fleet, Joining};
use super::process::{Heard, Role, Said};
use super::screen::Screen;
use super::summary::{Kills, Summary};
use super::{DemoArguments, now, task};
use crate::client::{Access, Client, ClientError};
use crate::commands::coordinator::Opening;
use crate::commands::job::{Follower, News, act};
use crate::commands::status_words;
use crate::rounds::RoundLine;

/// How often time alone is a reason to look.
const TICK: Duration = Duration::from_millis(250);
/// For a coordinator to listen; its folder is empty.
const START_TIME: Duration = Duration::from_mins(1);

pub(super) struct Play {
    folder: PathBuf,
    fleet: Fleet,
    hear: mpsc::UnboundedReceiver<Heard>,
    screen: Screen,
    chaos: Option<Chaos>,
    kills: Kills,
    /// Killed on purpose and not yet heard ending.
    dying: Vec<Role>,
    joining: Option<Joining>,
    port: u16,
    follower: Option<JoinHandle<()>>,
}

/// Why the next look is taken.
enum Woken {
    Heard(Heard),
    News(Box<Result<News, ClientError>>),
    Tick,
}

impl Play {
    pub(super) fn new(
        folder: &Path,
        fleet: Fleet,
        hear: mpsc::UnboundedReceiver<Heard>,
        screen: Screen,
        chaos: Option<Chaos>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            fleet,
            hear,
            screen,
            chaos,
            kills: Kills::default(),
            dying: Vec::new(),
            joining: None,
            port: 0,
            follower: None,
        }
    }

    /// Plays the whole demo; what it came to, and what chaos missed.
    pub(super) async fn run(
        &mut self,
        arguments: &DemoArguments,
    ) -> anyhow::Result<(Summary, Option<String>)> {
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
        act(&client, job.id, "start").await?;
        let job = self.watch(client, job).await?;
        let seconds = begun.elapsed().as_secs_f64();
        self.screen.clear();
        let (Some(test_accuracy), Some(model_blake3)) = (job.test_accuracy, job.model_blake3)
        else {
            bail!("the job has no model at its end");
        };
        let summary = Summary {
            dataset: job.dataset,
            rounds: job.current_epoch,
            test_accuracy,
            model_blake3,
            seconds,
            leases_lost: job.leases_lost,
            kills: self.kills,
        };
        Ok((summary, self.chaos.as_ref().and_then(Chaos::missing)))
    }

    /// Ends every process.
    pub(super) async fn end(&mut self) {
        self.screen.clear();
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
        self.fleet.stop().await;
    }

    /// Starts the coordinator; a client for it.
    async fn open(&mut self) -> anyhow::Result<Client> {
        self.fleet.start_coordinator(0)?;
        let opening = tokio::time::timeout(START_TIME, self.hear.recv()).await;
        let (url, cluster, pin) = match opening {
            Ok(Some(Heard { what: Said::Line(line), .. })) => {
                let Opening::Listening { url, cluster, pin } = serde_json::from_str(&line)
                    .with_context(|| format!("the coordinator opens with '{line}'"))?;
                (url, cluster, pin)
            }
            Ok(_) => {
                let words = self.fleet.bury(Role::Coordinator).await;
                bail!("the coordinator did not start: {words}");
            }
            Err(_) => bail!("the coordinator did not start within {} s", START_TIME.as_secs()),
        };
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        self.port = port.with_context(|| format!("no port in '{url}'"))?;
        self.joining = Some(Joining { cluster, link: String::new() });
        let data_dir = self.fleet.coordinator_folder();
        Ok(Client::new(&Access { address: Some(url), pin: Some(pin), token: None, data_dir })?)
    }

    /// Decides on the job and writes it down.
    async fn prepare(
        &mut self,
        client: &Client,
        arguments: &DemoArguments,
    ) -> anyhow::Result<JobSpec> {
        let datasets: Vec<DatasetEntry> = client.get("/datasets").await?;
        let spec = task::job(arguments, &datasets)?;
        task::write(&spec, &self.folder.join("job.toml"))?;
        if self.chaos.is_some() {
            let dataset = task::find(&datasets, &spec.dataset)?;
            self.fleet.limit_upload(task::slow_upload(&spec, dataset)?);
        }
        Ok(spec)
    }

    /// Watches until the job is at its end.
    async fn watch(&mut self, client: Client, job: Job) -> anyhow::Result<Job> {
        let (told, mut news) = mpsc::unbounded_channel();
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
        let mut tick = tokio::time::interval(TICK);
        loop {
            let woken = tokio::select! {
                // What processes say goes first: a kill must come before its moment is over.
                biased;
                Some(heard) = self.hear.recv() => Woken::Heard(heard),
                Some(news) = news.recv() => Woken::News(Box::new(news)),
                _ = tick.tick() => Woken::Tick,
            };
            match woken {
                Woken::Heard(heard) => self.heard(heard).await?,
                Woken::News(news) => {
                    let news = (*news)?;
                    self.news(&news)?;
                    match news.job.status {
                        JobStatus::Completed => return Ok(news.job),
                        JobStatus::Failed | JobStatus::Cancelled => {
                            let reason = news.job.reason.unwrap_or_default();
                            bail!("the job did not complete: {reason}");
                        }
                        JobStatus::Pending
                        | JobStatus::Preparing
                        | JobStatus::Running
                        | JobStatus::Paused => {}
                    }
                }
                Woken::Tick => self.see(Sight::Tick)?,
            }
        }
    }

    fn news(&mut self, news: &News) -> anyhow::Result<()> {
        for line in news.closed.iter().filter_map(RoundLine::of) {
            self.screen.round(&line)?;
        }
        self.screen.job(&news.job);
        self.see(Sight::LeasesLost { count: news.job.leases_lost })
    }

    async fn heard(&mut self, heard: Heard) -> anyhow::Result<()> {
        if !self.fleet.is_current(&heard) {
            return Ok(());
        }
        match (heard.role, heard.what) {
            (Role::Worker(worker), Said::Line(line)) => {
                let status = serde_json::from_str(&line)
                    .with_context(|| format!("worker {} says '{line}'", worker + 1))?;
                self.screen.worker(worker, &status_words::with_steps(&status));
                self.see(Sight::Worker { worker, doing: doing(&status) })
            }
            (Role::Coordinator, Said::Line(line)) => {
                match serde_json::from_str(&line) {
                    Ok(Moment::Aggregating { round, .. }) => self.see(Sight::Aggregating { round }),
                    Ok(Moment::Resumed { phase: Phase::Aggregating, .. }) => {
                        self.see(Sight::AggregationResumed)
                    }
                    // Other phases, and the opening line of a restart.
                    Ok(Moment::Resumed { .. }) | Err(_) => Ok(()),
                }
            }
            (role, Said::Ended) => {
                let words = self.fleet.bury(role).await;
                let Some(known) = self.dying.iter().position(|dying| *dying == role) else {
                    match role {
                        Role::Coordinator => bail!("the coordinator ended by itself: {words}"),
                        Role::Worker(worker) => {
                            bail!("worker {} ended by itself: {words}", worker + 1)
                        }
                    }
                };
                self.dying.swap_remove(known);
                match role {
                    Role::Coordinator => self.see(Sight::CoordinatorEnded),
                    Role::Worker(worker) => self.see(Sight::WorkerEnded { worker }),
                }
            }
        }
    }

    fn see(&mut self, sight: Sight) -> anyhow::Result<()> {
        let Some(chaos) = &mut self.chaos else { return Ok(()) };
        let actions = chaos.handle(now(), sight);
        actions.into_iter().try_for_each(|action| self.act(action))
    }

    fn act(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::KillWorker { worker, why } => {
                self.dying.push(Role::Worker(worker));
                self.fleet.kill(Role::Worker(worker))?;
                self.kills.workers += 1;
                self.screen.note(format_args!("chaos: worker {} killed {why}", worker + 1));
                self.screen.worker(worker, "killed");
            }
            Action::KillTrainer { worker, pid } => {
                // It may have ended in the meantime.
                if platform::process::kill(pid).is_ok() {
                    self.kills.trainers += 1;
                    self.screen
                        .note(format_args!("chaos: trainer of worker {} killed", worker + 1));
                }
            }
            Action::KillCoordinator { round } => {
                self.dying.push(Role::Coordinator);
                self.fleet.kill(Role::Coordinator)?;
                self.kills.coordinators += 1;
                let what = format!("while it aggregated round {round}");
                self.screen.note(format_args!("chaos: coordinator killed {what}"));
            }
            Action::StartWorker { worker } => self.start_worker(worker)?,
            Action::StartCoordinator => self.fleet.start_coordinator(self.port)?,
        }
        Ok(())
    }

    fn start_worker(&mut self, worker: usize) -> anyhow::Result<()> {
        let joining = self.joining.as_ref().context("there is no coordinator to join")?;
        self.fleet.start_worker(worker, joining)
    }
}

/// A status as chaos sees it.
fn doing(status: &Status) -> Doing {
    match status {
        Status::Training { lease, step, trainer_pid, .. } => {
            Doing::Training { lease: *lease, step: *step, trainer: *trainer_pid }
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
