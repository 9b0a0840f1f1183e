//! Simulation of a job: runs the job's state machine with a virtual clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use coordinator::prepare::Prepared;
use data::{Row, shard};
use engine::{ComputeDevice, EngineError, Trained, TrainingEnd};
use federation::machine::{Effect, Event, Machine, MachineSettings, Partition, Preparation};
use federation::machine::{Receipt, RejectedEvent};
use node::rounds::{FinalLine, RoundLine};
use protocol::api::JobStatus;
use protocol::job::JobSpec;
use protocol::lease::Lease;
use protocol::metrics::EvalMetrics;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, ModelId, Timestamp, codec};
use uuid::Uuid;

use super::math::{self, Updates};
use super::progress::ProgressView;
use super::worker_pool::WorkerPool;

/// Lease timeout. So long that no lease expires, because simulated devices don't fail.
const LEASE_TIMEOUT: Duration = Duration::from_secs(1_000_000_000);

pub(super) struct Simulation {
    machine: Machine,
    now: Timestamp,
    compute: ComputeDevice,
    pool: WorkerPool,
    partitions: Vec<Arc<Vec<Row>>>,
    test: Vec<Row>,
    validation: Vec<Row>,
    model: Arc<Vec<f32>>,
    model_hash: BlobHash,
    updates: Updates,
    rows_per_second: u32,
    idle: VecDeque<DeviceId>,
    /// Trainings in progress, by end time, then by start order.
    training: BTreeMap<(Timestamp, u64), Training>,
    trainings_started: u64,
    /// Last lease id. Ids are counted, not random, so that a simulation is reproducible.
    leases: u128,
    rounds_reported: u32,
    round_started: Instant,
    started: Instant,
    file: Option<Vec<u8>>,
}

struct Training {
    lease: Lease,
    result: Receiver<Result<Trained, EngineError>>,
}

impl Simulation {
    pub(super) fn new(
        job: JobSpec,
        prepared: Prepared,
        compute: ComputeDevice,
        devices: u32,
        rows_per_second: u32,
    ) -> anyhow::Result<Self> {
        let pool = WorkerPool::start(&compute, job.plan().threads)
            .context("can't start threads for training")?;
        let model = engine::initialize(&prepared.spec, job.seed)?;
        let model_hash = BlobHash::compute(&codec::encode(&model));
        let rows = |bytes: &[u8]| -> anyhow::Result<Vec<Row>> { Ok(shard::read(bytes)?.rows) };
        let partitions: Vec<Arc<Vec<Row>>> = prepared
            .partitions
            .iter()
            .map(|partition| Ok(Arc::new(rows(&partition.shard)?)))
            .collect::<anyhow::Result<_>>()?;
        let validation = prepared.validation.as_deref().map(rows).transpose()?.unwrap_or_default();
        let settings = MachineSettings {
            job: JobId::from_uuid(Uuid::from_u128(1)),
            spec: job,
            lease_timeout: LEASE_TIMEOUT,
        };
        let mut simulation = Self {
            machine: Machine::new(settings),
            now: Timestamp::from_millis(0),
            compute,
            pool,
            test: rows(&prepared.test)?,
            partitions,
            validation,
            model: Arc::new(model),
            model_hash,
            updates: Updates::new()?,
            rows_per_second,
            idle: (1..=u128::from(devices))
                .map(|number| DeviceId::from_uuid(Uuid::from_u128(number)))
                .collect(),
            training: BTreeMap::new(),
            trainings_started: 0,
            leases: 0,
            rounds_reported: 0,
            round_started: Instant::now(),
            started: Instant::now(),
            file: None,
        };
        simulation.handle(Event::Start)?;
        let preparation = simulation.preparation(prepared);
        simulation.handle(Event::Prepared(Box::new(preparation)))?;
        Ok(simulation)
    }

    /// Runs the whole job. Returns the model file.
    pub(super) fn run(&mut self, view: &mut ProgressView) -> anyhow::Result<Vec<u8>> {
        loop {
            self.report_rounds(view)?;
            match self.machine.status() {
                JobStatus::Completed => {
                    return self.file.take().context("the job completed without a model");
                }
                JobStatus::Failed | JobStatus::Cancelled => {
                    let reason = self.machine.reason();
                    bail!("the job failed: {}", reason.as_deref().unwrap_or("no reason was given"));
                }
                JobStatus::Pending
                | JobStatus::Preparing
                | JobStatus::Running
                | JobStatus::Paused => {}
            }
            self.grant_leases()?;
            self.advance()?;
        }
    }

    pub(super) fn final_line(&self, file: &[u8]) -> FinalLine {
        let last = self.machine.history().rev().find_map(|round| round.evaluation.as_ref());
        FinalLine {
            is_final: true,
            status: self.machine.status(),
            reason: None,
            rounds: self.machine.rounds_closed(),
            test_accuracy: last.map(|evaluation| evaluation.accuracy),
            model_blake3: Some(BlobHash::compute(file)),
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    fn preparation(&self, prepared: Prepared) -> Preparation {
        let Prepared { spec, partitions, test, validation, info } = prepared;
        Preparation {
            spec,
            base: self.model_hash,
            partitions: partitions
                .iter()
                .map(|partition| Partition {
                    rows: partition.rows,
                    shards: vec![BlobHash::compute(&partition.shard)],
                })
                .collect(),
            test: vec![BlobHash::compute(&test)],
            validation: validation.iter().map(|shard| BlobHash::compute(shard)).collect(),
            classes: info.classes,
        }
    }

    fn report_rounds(&mut self, view: &mut ProgressView) -> anyhow::Result<()> {
        let rounds = self.machine.spec().rounds();
        view.progress(self.machine.progress(), self.machine.round(), rounds);
        for round in self.machine.history() {
            let Some(line) = RoundLine::from_round(round) else { continue };
            if line.round > self.rounds_reported {
                self.rounds_reported = line.round;
                let virtual_seconds = Some(line.seconds);
                let seconds = self.round_started.elapsed().as_secs_f64();
                self.round_started = Instant::now();
                view.round(&RoundLine { seconds, virtual_seconds, ..line })?;
            }
        }
        Ok(())
    }

    /// Grants leases to idle devices for as long as there is work.
    fn grant_leases(&mut self) -> anyhow::Result<()> {
        while let Some(device) = self.idle.pop_front() {
            self.leases += 1;
            let lease = LeaseId::from_uuid(Uuid::from_u128(self.leases));
            let fingerprint = self.compute.fingerprint().clone();
            let event = Event::Requested { lease, device, fingerprint };
            match self.machine.handle(self.now, event) {
                Ok(effects) => self.perform(effects)?,
                Err(RejectedEvent::NothingToDo) => {
                    self.idle.push_front(device);
                    return Ok(());
                }
                Err(rejection) => return Err(rejection.into()),
            }
        }
        Ok(())
    }

    /// Advances the clock to the next event and handles the event.
    fn advance(&mut self) -> anyhow::Result<()> {
        let first = self.training.first_key_value().map(|((at, _), _)| *at);
        let deadline = self.machine.deadline();
        match (first, deadline) {
            (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                self.now = at;
                self.submit_update()
            }
            (_, Some(deadline)) => {
                self.now = deadline;
                self.handle(Event::Tick)
            }
            (Some(_) | None, None) => {
                bail!("the simulation has no next event, but the job has not ended")
            }
        }
    }

    fn submit_update(&mut self) -> anyhow::Result<()> {
        let Some((_, Training { lease, result })) = self.training.pop_first() else {
            return Ok(());
        };
        let trained = result.recv().context("a training thread ended unexpectedly")??;
        self.idle.push_back(lease.device_id);
        let (blob, bytes, norm) = self.updates.store(&trained.delta)?;
        let fingerprint = self.compute.fingerprint().clone();
        let receipt = Receipt { blob, bytes, norm, metrics: trained.metrics, fingerprint };
        let event = Event::Updated { lease: lease.id, device: lease.device_id, receipt };
        match self.machine.handle(self.now, event) {
            Ok(effects) => self.perform(effects),
            // The round closed at its deadline, before this update.
            Err(RejectedEvent::UnknownLease { .. }) => Ok(()),
            Err(rejection) => Err(rejection.into()),
        }
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        let effects = self.machine.handle(self.now, event)?;
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> anyhow::Result<()> {
        for effect in effects {
            match effect {
                Effect::Grant(lease) => self.start_training(*lease)?,
                Effect::Aggregate { round, base: _, updates, seat_rows } => {
                    let model = self.updates.aggregate(&self.model, &updates, seat_rows)?;
                    self.model_hash = BlobHash::compute(&codec::encode(&model));
                    self.model = Arc::new(model);
                    self.handle(Event::Aggregated { round, model: self.model_hash })?;
                }
                Effect::Evaluate { round, model: _ } => {
                    let test = self.evaluate(&self.test)?;
                    let validation = match self.validation.as_slice() {
                        [] => None,
                        rows => Some(self.evaluate(rows)?),
                    };
                    self.handle(Event::Evaluated { round, test, validation })?;
                }
                Effect::Register { .. } => {
                    let spec = &self.machine.preparation().context("the job is not prepared")?.spec;
                    let file = math::encode_model(spec, &self.model)?;
                    let (model, file_hash) =
                        (ModelId::from_uuid(Uuid::nil()), BlobHash::compute(&file));
                    self.file = Some(file);
                    self.handle(Event::Registered { model, file: file_hash })?;
                }
                Effect::Nondeterminism { round, partition, .. } => {
                    bail!("round {round}, partition {partition}: two updates of one seat differ")
                }
                // Nothing to do: the data is already prepared, and `Aggregate` lists all updates of
                // the round.
                Effect::Prepare
                | Effect::Outcome(_)
                | Effect::Accumulate { .. }
                | Effect::LeaseEnded { .. } => {}
            }
        }
        Ok(())
    }

    fn start_training(&mut self, lease: Lease) -> anyhow::Result<()> {
        let rows = self.partitions.get(lease.partition as usize).context("no such partition")?;
        let plan = &lease.plan;
        let examples = plan.steps(lease.rows) * u64::from(plan.batch_size);
        let seconds = examples as f64 / f64::from(self.rows_per_second);
        let ends_at = self.now.after(Duration::from_secs_f64(seconds));
        let result = self.pool.submit(lease.clone(), Arc::clone(&self.model), Arc::clone(rows));
        self.trainings_started += 1;
        self.training.insert((ends_at, self.trainings_started), Training { lease, result });
        Ok(())
    }

    fn evaluate(&self, rows: &[Row]) -> anyhow::Result<EvalMetrics> {
        let spec = &self.machine.preparation().context("the job is not prepared")?.spec;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = u32::try_from(threads).unwrap_or(1);
        let outcome = engine::evaluate(
            &self.compute,
            spec,
            &self.model,
            rows,
            threads,
            &|| false,
            &mut |_| {},
        );
        match outcome? {
            TrainingEnd::Done(metrics) => Ok(metrics),
            TrainingEnd::Stopped { .. } => bail!("the evaluation was stopped"),
        }
    }
}
