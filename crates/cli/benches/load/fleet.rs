//! All devices: enrolled in small batches, then running independently.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use hyper::Method;
use protocol::join::{CreatedJoinCode, JoinCode, JoinCodeRequest, JoinProof};
use tokio::task::JoinSet;

use crate::connection::{Connection, Server};
use crate::device::Device;
use crate::record::Record;
use crate::updates::Updates;

/// Devices that enroll in parallel.
const AT_ONCE: usize = 64;

/// Enrolled devices that do not send anything yet.
pub(crate) struct Fleet(Vec<Device>);

/// Devices that send heartbeats and request work.
pub(crate) struct RunningFleet {
    tasks: JoinSet<()>,
    period: Duration,
}

impl Fleet {
    pub(crate) async fn enroll(
        server: &Arc<Server>,
        record: &Arc<Record>,
        updates: &Arc<Updates>,
        devices: usize,
    ) -> anyhow::Result<Self> {
        let code = join_code(server, devices).await?;
        let enrolled = stream::iter(0..devices)
            .map(|number| Device::enroll(server, number, &code, record, updates))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await;
        Ok(Self(enrolled.context("a device could not enroll")?))
    }

    /// Starts every device; their first heartbeats are spread over one period.
    pub(crate) fn start(self, changes: f64) -> RunningFleet {
        let period = self.0.first().map_or(Duration::ZERO, Device::period);
        let (now, devices) = (Instant::now(), self.0.len());
        let mut tasks = JoinSet::new();
        for (number, device) in self.0.into_iter().enumerate() {
            let share = number as f64 / devices as f64;
            tasks.spawn(device.run(now + period.mul_f64(share), changes));
        }
        RunningFleet { tasks, period }
    }
}

/// One join code for all devices, as in a configuration profile.
async fn join_code(server: &Arc<Server>, devices: usize) -> anyhow::Result<JoinProof> {
    let connection = Connection::open(server).await?;
    let uses = Some(u32::try_from(devices)?);
    let body = JoinCodeRequest { name: "load".to_owned(), uses, expires_in: None };
    let created: CreatedJoinCode =
        connection.json(Method::POST, "/join-codes", &server.token, Some(&body)).await?;
    let code: JoinCode = created.link.parse()?;
    Ok(code.secret.proof())
}

impl RunningFleet {
    /// Waits until every device has sent one heartbeat.
    pub(crate) async fn one_period(&self) {
        tokio::time::sleep(self.period + Duration::from_secs(1)).await;
    }

    /// Whether a device has stopped; a device only stops after a failure.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.tasks.try_join_next().is_some()
    }

    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
