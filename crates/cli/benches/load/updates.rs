//! The round of updates: what each device sends, the job that asks for it, and whether what the
//! coordinator made of it is right.

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

/// Of each update the first so many parameters are its own; the others are the same in all.
const OWN: usize = 256;
/// Each parameter of the first kind moves by this much times the partition's number.
const STEP: f32 = 1e-4;
/// Of a model as wide as this: `buckets × 12 + 12 × 4 + 4` parameters.
const DIMENSION: u32 = 12;
const CLASSES: u32 = 4;
/// Between two looks at the round.
const LOOKING: Duration = Duration::from_millis(100);

/// What every partition's training gives.
pub(crate) struct Updates {
    parameters: usize,
    buckets: u32,
    /// By partition.
    each: Vec<OneUpdate>,
}

pub(crate) struct OneUpdate {
    pub(crate) blob: BlobHash,
    own: Bytes,
    /// What all updates share.
    rest: Bytes,
}

/// A round that was taken and aggregated.
pub(crate) struct TakenRound {
    pub(crate) parameters: usize,
    /// From the start of the job to its first lease.
    pub(crate) prepared: Duration,
    /// From the first byte of the first update to the last acknowledgement.
    pub(crate) taken: Duration,
    /// From the last acknowledgement to the new global model.
    pub(crate) aggregated: Duration,
    pub(crate) uploads: Vec<Upload>,
}

impl Updates {
    pub(crate) fn new(updates: u32, parameters: u32) -> anyhow::Result<Self> {
        let fixed = DIMENSION * CLASSES + CLASSES;
        let buckets = parameters.saturating_sub(fixed) / DIMENSION;
        let parameters = usize::try_from(buckets * DIMENSION + fixed)?;
        ensure!(parameters >= 2 * OWN, "give more --parameters");
        let rest: Vec<f32> = (OWN..parameters).map(shared_change).collect();
        let rest = Bytes::from(codec::encode(&rest));
        let each = (0..updates)
            .map(|partition| {
                let own = Bytes::from(codec::encode(&[own_change(partition); OWN]));
                let mut hasher = blake3::Hasher::new();
                hasher.update(&own).update(&rest);
                OneUpdate { blob: hasher.finalize().into(), own, rest: rest.clone() }
            })
            .collect();
        Ok(Self { parameters, buckets, each })
    }

    pub(crate) fn of(&self, partition: u32) -> Option<&OneUpdate> {
        self.each.get(usize::try_from(partition).ok()?)
    }

    /// Starts a job of one round and sees it through to its global model.
    pub(crate) async fn run_round(
        &self,
        server: &Arc<Server>,
        record: &Arc<Record>,
    ) -> anyhow::Result<TakenRound> {
        let connection = Connection::open(server).await?;
        let admin = Admin { connection, token: server.token.clone() };
        let job: Job = admin.post("/jobs", &self.job()).await?;
        let started = Instant::now();
        let _: Job = admin.post(&format!("/jobs/{}/start", job.id), &json!({})).await?;
        node::output::note(format_args!("a job of {} updates is prepared", self.each.len()));
        let (model, ended) = admin.model_of_first_round(job.id, record).await?;
        let uploads = record.uploads();
        ensure!(uploads.len() == self.each.len(), "{} updates were taken", uploads.len());
        let first = uploads.iter().map(|upload| upload.began).min().context("no update")?;
        let last = uploads.iter().map(|upload| upload.ended).max().context("no update")?;
        let job: Job = admin.get(&format!("/jobs/{}", job.id)).await?;
        self.check(&job, model, &uploads)?;
        Ok(TakenRound {
            parameters: self.parameters,
            prepared: first.duration_since(started),
            taken: last.duration_since(first),
            aggregated: ended.saturating_duration_since(last),
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
            "data": { "partitions": self.each.len() },
            "run": { "rounds": 1 }
        })
    }

    /// The new model must have the bits of the initial one and the exact mean of the updates.
    fn check(&self, job: &Job, model: BlobHash, uploads: &[Upload]) -> anyhow::Result<()> {
        let spec = job.spec.as_ref().context("a job without a model")?;
        let base = engine::initialize(spec, job.config.seed)?;
        ensure!(base.len() == self.parameters, "the model has {} parameters", base.len());
        let rows = uploads.iter().map(|upload| upload.rows).sum();
        let mut sum = Accumulator::new(self.parameters, rows);
        for upload in uploads {
            let update = self.of(upload.partition).context("an unknown partition")?;
            let bytes = [&*update.own, &*update.rest].concat();
            sum.add(&[(&bytes, upload.rows)])?;
        }
        let expected = BlobHash::of(&codec::encode(&sum.finish(&base)));
        ensure!(model == expected, "the new model is {model}, and should be {expected}");
        Ok(())
    }
}

impl OneUpdate {
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

/// A person's side of the round.
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

    /// The global model of round 1, and when it was seen.
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
            tokio::time::sleep(LOOKING).await;
        }
    }
}

/// Of a parameter that all updates move alike: between ±0.005, and not the same for its neighbours.
fn shared_change(parameter: usize) -> f32 {
    ((parameter * 31 % 1_009) as f32 - 504.0) * 1e-5
}

fn own_change(partition: u32) -> f32 {
    partition as f32 * STEP
}
