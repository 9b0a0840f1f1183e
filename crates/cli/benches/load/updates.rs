//! Round of updates: the update of each device, the job that requests them, and the check of the
//! coordinator's result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use federation::aggregate::Accumulator;
use hyper::Method;
use protocol::api::{Job, Round};
use protocol::codec::{self, Codec};
use protocol::fingerprint::Fingerprint;
use protocol::lease::Update;
use protocol::metrics::TrainMetrics;
use protocol::{BlobHash, JobId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::connection::{Connection, Pieces, Server};
use crate::record::{Record, Upload};

/// Number of leading parameters that differ between updates; the others are the same in all
/// updates.
const OWN_PARAMETERS: usize = 256;
/// Factor of the partition's number by which these parameters change.
const STEP: f32 = 1e-4;
/// Embedding dimension. The model has `buckets × 12 + 12 × 4 + 4` parameters.
const DIMENSION: u32 = 12;
const CLASSES: u32 = 4;
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Prepared updates of all partitions.
pub(crate) struct Updates {
    parameters: usize,
    buckets: u32,
    /// Indexed by partition.
    by_partition: Vec<PreparedUpdate>,
}

pub(crate) struct PreparedUpdate {
    pub(crate) blob: BlobHash,
    own: Bytes,
    /// The part that all updates share.
    rest: Bytes,
}

/// Times of a finished round.
pub(crate) struct RoundTimes {
    pub(crate) parameters: usize,
    /// From the start of the job to its first upload.
    pub(crate) prepared: Duration,
    /// From the first byte of the first update to the last acknowledgement.
    pub(crate) upload: Duration,
    /// From the last acknowledgement to the new global model.
    pub(crate) aggregated: Duration,
    pub(crate) uploads: Vec<Upload>,
}

impl Updates {
    pub(crate) fn new(updates: u32, parameters: u32) -> anyhow::Result<Self> {
        let fixed = DIMENSION * CLASSES + CLASSES;
        let buckets = parameters.saturating_sub(fixed) / DIMENSION;
        let parameters = usize::try_from(buckets * DIMENSION + fixed)?;
        ensure!(parameters >= 2 * OWN_PARAMETERS, "use a larger --parameters");
        let rest: Vec<f32> = (OWN_PARAMETERS..parameters).map(shared_change).collect();
        let rest = Bytes::from(codec::encode(&rest));
        let by_partition = (0..updates)
            .map(|partition| {
                let own = Bytes::from(codec::encode(&[own_change(partition); OWN_PARAMETERS]));
                let mut hasher = blake3::Hasher::new();
                hasher.update(&own).update(&rest);
                PreparedUpdate { blob: hasher.finalize().into(), own, rest: rest.clone() }
            })
            .collect();
        Ok(Self { parameters, buckets, by_partition })
    }

    pub(crate) fn for_partition(&self, partition: u32) -> Option<&PreparedUpdate> {
        self.by_partition.get(usize::try_from(partition).ok()?)
    }

    /// Runs a job of one round until its global model.
    pub(crate) async fn run_round(
        &self,
        server: &Arc<Server>,
        record: &Arc<Record>,
    ) -> anyhow::Result<RoundTimes> {
        let connection = Connection::open(server).await?;
        let admin = Admin { connection, token: server.token.clone() };
        let job: Job = admin.post("/jobs", &self.job()).await?;
        let job_started = Instant::now();
        let _: Job = admin.post(&format!("/jobs/{}/start", job.id), &json!({})).await?;
        node::output::note(format_args!("preparing a job of {} updates", self.by_partition.len()));
        let (model, finished) = admin.model_of_first_round(job.id, record).await?;
        let uploads = record.uploads();
        ensure!(
            uploads.len() == self.by_partition.len(),
            "{} updates were accepted",
            uploads.len()
        );
        let first = uploads.iter().map(|upload| upload.started).min().context("no update")?;
        let last = uploads.iter().map(|upload| upload.finished).max().context("no update")?;
        let job: Job = admin.get(&format!("/jobs/{}", job.id)).await?;
        self.check(&job, model, &uploads)?;
        Ok(RoundTimes {
            parameters: self.parameters,
            prepared: first.duration_since(job_started),
            upload: last.duration_since(first),
            aggregated: finished.saturating_duration_since(last),
            uploads,
        })
    }

    fn job(&self) -> Value {
        json!({
            "name": "load",
            "model_type": "nlp",
            "dataset": "synthetic",
            "model": {
                "input": { "kind": "text", "buckets": self.buckets, "ngrams": 1, "max_words": 64 },
                "layers": [
                    { "kind": "embedding_bag", "dimension": DIMENSION },
                    { "kind": "linear", "outputs": CLASSES }
                ]
            },
            "data": { "partitions": self.by_partition.len() },
            "run": { "rounds": 1 }
        })
    }

    /// Checks that the new model has the bits of the initial model plus the exact mean of the
    /// updates.
    fn check(&self, job: &Job, model: BlobHash, uploads: &[Upload]) -> anyhow::Result<()> {
        let spec = job.spec.as_ref().context("the job has no model")?;
        let base = engine::initialize(spec, job.config.seed)?;
        ensure!(base.len() == self.parameters, "the model has {} parameters", base.len());
        let rows = uploads.iter().map(|upload| upload.rows).sum();
        let mut sum = Accumulator::new(self.parameters, rows);
        for upload in uploads {
            let update = self.for_partition(upload.partition).context("an unknown partition")?;
            let bytes = [&*update.own, &*update.rest].concat();
            sum.add(&[(&bytes, upload.rows)])?;
        }
        let expected = BlobHash::compute(&codec::encode(&sum.finish(&base)));
        ensure!(model == expected, "the new model is {model}, expected {expected}");
        Ok(())
    }
}

impl PreparedUpdate {
    pub(crate) fn length(&self) -> u64 {
        (self.own.len() + self.rest.len()) as u64
    }

    pub(crate) fn pieces(&self) -> Pieces {
        Pieces::from([self.own.clone(), self.rest.clone()])
    }

    pub(crate) fn report(&self, fingerprint: Fingerprint, examples: u64) -> Update {
        let metrics = TrainMetrics { loss: 0.5, steps: 1, examples, seconds: 0.1 };
        Update { blob: self.blob, codec: Codec::F32Le, metrics, fingerprint }
    }
}

/// API access of an administrator.
struct Admin {
    connection: Connection,
    token: String,
}

impl Admin {
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Job> {
        self.connection.json(Method::POST, path, &self.token, Some(body)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.connection.json(Method::GET, path, &self.token, None::<&Value>).await
    }

    /// Global model of round 1 and the time when it was seen.
    async fn model_of_first_round(
        &self,
        job: JobId,
        record: &Record,
    ) -> anyhow::Result<(BlobHash, Instant)> {
        loop {
            let rounds: Vec<Round> = self.get(&format!("/jobs/{job}/rounds")).await?;
            if let Some(model) = rounds.first().and_then(|round| round.model) {
                return Ok((model, Instant::now()));
            }
            let seen: Job = self.get(&format!("/jobs/{job}")).await?;
            ensure!(!seen.status.is_final(), "the job ended: {:?}", seen.reason);
            ensure!(record.failed() == 0, "a device failed");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Change of a parameter that all updates share: between ±0.005, and different from its neighbors.
fn shared_change(parameter: usize) -> f32 {
    ((parameter * 31 % 1_009) as f32 - 504.0) * 1e-5
}

fn own_change(partition: u32) -> f32 {
    partition as f32 * STEP
}
