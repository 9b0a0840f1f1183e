//! One simulated device: it enrolls, sends heartbeats and requests work. Training takes no time: it
//! sends a prepared update.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hyper::{Method, StatusCode};
use protocol::device::{DeviceState, Heartbeat, HeartbeatAnswer, HoldReason};
use protocol::enrollment::{Challenge, DeviceRegistration, Registered, Session, signed};
use protocol::fingerprint::{Backend, Fingerprint};
use protocol::join::JoinProof;
use protocol::lease::{Lease, UpdateAnswer, UpdateOutcome};
use protocol::{DeviceId, LeaseId, Opaque, Pin};
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::time::{sleep, sleep_until};
use uuid::Uuid;

use crate::connection::{Connection, Pieces, Server};
use crate::record::{Record, Upload};
use crate::updates::Updates;

/// Seconds that a request for work may wait, the same as a worker's.
const LONG_POLL_SECONDS: u64 = 25;
/// Pause after a response without work, the same as a worker's.
const IDLE_DELAY: Duration = Duration::from_secs(1);
/// Largest deviation of a heartbeat interval, as a fraction of the interval.
const JITTER: f64 = 0.1;

pub(crate) struct Device {
    id: DeviceId,
    token: String,
    session: Session,
    period: Duration,
    connection: Connection,
    /// Current lease; heartbeats renew it.
    lease: Mutex<Option<LeaseId>>,
    record: Arc<Record>,
    updates: Arc<Updates>,
}

impl Device {
    pub(crate) async fn enroll(
        server: &Arc<Server>,
        number: usize,
        code: &JoinProof,
        record: &Arc<Record>,
        updates: &Arc<Updates>,
    ) -> anyhow::Result<Self> {
        let connection = Connection::open(server).await?;
        let path = "/devices/challenge";
        let challenge = connection.json(Method::POST, path, "", None::<&()>).await?;
        let session = Session { id: Uuid::now_v7().to_string(), after: Vec::new() };
        let body = registration(number, &challenge, &server.pin, &session)?;
        let path = "/devices/register";
        let Registered { id, token, heartbeat_seconds, .. } =
            connection.json(Method::POST, path, &code.bearer(), Some(&body)).await?;
        Ok(Self {
            id,
            token,
            session,
            period: Duration::from_secs(u64::from(heartbeat_seconds)),
            connection,
            lease: Mutex::default(),
            record: record.clone(),
            updates: updates.clone(),
        })
    }

    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// Runs until it is stopped or a request fails. The first heartbeat is due at `first`.
    /// `changes` is the fraction of heartbeats that report a new state.
    pub(crate) async fn run(self, first: Instant, changes: f64) {
        tokio::select! {
            Err(error) = self.send_heartbeats(first, changes) => self.record.failure(&error),
            Err(error) = self.request_work() => self.record.failure(&error),
        }
    }

    async fn send_heartbeats(&self, first: Instant, changes: f64) -> anyhow::Result<()> {
        let path = format!("/devices/{}/heartbeat", self.id);
        let (mut due, mut held) = (first, false);
        loop {
            sleep_until(due.into()).await;
            let late = due.elapsed();
            held ^= rand::random_bool(changes);
            let body = Heartbeat {
                state: if held { DeviceState::Held } else { DeviceState::Waiting },
                reason: held.then_some(HoldReason::InUse),
                lease: *self.lease.lock().unwrap_or_else(PoisonError::into_inner),
                session: Some(self.session.clone()),
            };
            let response: HeartbeatAnswer =
                self.connection.json(Method::POST, &path, &self.token, Some(&body)).await?;
            self.record.heartbeat(due, late);
            let jitter = rand::random_range(1.0 - JITTER..=1.0 + JITTER);
            due += Duration::from_secs(u64::from(response.heartbeat_seconds)).mul_f64(jitter);
        }
    }

    async fn request_work(&self) -> anyhow::Result<()> {
        let path = format!("/devices/{}/next-job?wait={LONG_POLL_SECONDS}", self.id);
        loop {
            self.record.poll_started();
            let response = self
                .connection
                .request(Method::GET, &path, &self.token, Pieces::default(), &[])
                .await;
            self.record.poll_ended();
            let response = response?;
            if response.status == StatusCode::NO_CONTENT {
                sleep(IDLE_DELAY).await;
            } else {
                self.train(response.json(&Method::GET, &path)?).await?;
            }
        }
    }

    /// Sends the prepared update of the lease's partition.
    async fn train(&self, lease: Lease) -> anyhow::Result<()> {
        self.set_lease(Some(lease.id));
        let update = self
            .updates
            .for_partition(lease.partition)
            .context("no update was prepared for this partition")?;
        let started = Instant::now();
        let path = format!("/blobs/{}?lease={}", update.blob, lease.id);
        let headers = [("upload-offset", "0"), ("content-type", "application/octet-stream")];
        let (bytes, method) = (update.pieces(), Method::PUT);
        let sent =
            self.connection.request(method.clone(), &path, &self.token, bytes, &headers).await?;
        sent.expect_success(&method, &path)?;
        let path = format!("/leases/{}/update", lease.id);
        let body = update.report(fingerprint(), lease.rows);
        let response: UpdateAnswer =
            self.connection.json(method, &path, &self.token, Some(&body)).await?;
        ensure!(
            response.outcome == UpdateOutcome::Accepted,
            "an update was {:?}",
            response.outcome
        );
        self.record.upload(Upload {
            started,
            finished: Instant::now(),
            bytes: update.length(),
            partition: lease.partition,
            rows: lease.rows,
        });
        self.set_lease(None);
        Ok(())
    }

    fn set_lease(&self, lease: Option<LeaseId>) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }
}

/// Registration like a worker's, with a key of this device.
fn registration(
    number: usize,
    Challenge { challenge, .. }: &Challenge,
    pin: &Pin,
    session: &Session,
) -> anyhow::Result<DeviceRegistration> {
    let seed: [u8; 32] = rand::random();
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(anyhow::Error::msg)?;
    let (hardware_id, fingerprint) = (format!("load-{number:08}"), fingerprint());
    let signature = key.sign(&signed(challenge, pin, &hardware_id, 0, &fingerprint));
    Ok(DeviceRegistration {
        name: format!("Mac {number}"),
        device_type: "mac".to_owned(),
        cores: 8,
        ram_gb: 16.0,
        gpu_available: true,
        gpu_name: Some("Apple M2".to_owned()),
        hardware_id,
        instance: 0,
        fingerprint,
        public_key: Opaque(key.public_key().as_ref().to_vec()),
        challenge: challenge.clone(),
        signature: Opaque(signature.as_ref().to_vec()),
        session: Some(session.clone()),
        copy_of: None,
    })
}

fn fingerprint() -> Fingerprint {
    Fingerprint {
        app: env!("CARGO_PKG_VERSION").to_owned(),
        burn: "none".to_owned(),
        backend: Backend::Cpu,
        hardware: "load".to_owned(),
    }
}
