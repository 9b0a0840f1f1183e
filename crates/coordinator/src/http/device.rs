//! `/devices/{id}`: one device, and what it did for jobs.

use axum::Json;
use axum::extract::State;
use protocol::device::Device;
use protocol::lease::DeviceLease;
use protocol::{DeviceId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Viewer;
use super::extract::{InPath, InQuery};
use super::job_history::show_steps;
use super::problem::ApiResult;
use crate::clock;
use crate::driver::{DriverError, LEASES_KEPT};

/// Leases of an answer, unless it is told otherwise.
const LEASES: u64 = 200;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(leases))
}

/// One device.
#[utoipa::path(get, path = "/devices/{id}", tag = "devices", security(("token" = ["viewer", "admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn show(
    _: Viewer,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
) -> ApiResult<Json<Device>> {
    Ok(Json(known(&shared, id)?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Newest {
    /// Only leases that were granted or ended at this time or later: the last ones seen come again, since
    /// others may have come in the same millisecond.
    after: Option<Timestamp>,
    /// At most 2,000; 200 where none is given.
    limit: Option<u64>,
}

/// The newest leases of a device that were granted in the last 30 days, of all jobs, the oldest first.
#[utoipa::path(get, path = "/devices/{id}/leases", tag = "devices",
    security(("token" = ["viewer", "admin"])), params(("id" = DeviceId, Path), Newest),
    responses((status = 200, body = Vec<DeviceLease>)))]
async fn leases(
    _: Viewer,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
    InQuery(asked): InQuery<Newest>,
) -> ApiResult<Json<Vec<DeviceLease>>> {
    let device = known(&shared, id)?;
    let oldest = clock::now().before(LEASES_KEPT);
    let after = asked.after.unwrap_or(Timestamp::from_millis(i64::MIN));
    let limit = asked.limit.unwrap_or(LEASES);
    let kept = shared.read(move |reader| reader.leases_of_device(id, oldest, after, limit)).await?;
    let held = shared.driver.held_steps(move |row| row.record.device == id).await?;
    let shown = kept.into_iter().map(|row| {
        let job = shared.views.job(row.job);
        let mut lease = row.record;
        show_steps(&mut lease, &held);
        lease.device_name.clone_from(&device.name);
        let job_name = job.map(|view| view.job.name.clone()).unwrap_or_default();
        DeviceLease { job: row.job, job_name, lease }
    });
    Ok(Json(shown.collect()))
}

fn known(shared: &Shared, id: DeviceId) -> ApiResult<Device> {
    Ok(shared.views.device(id, clock::now()).ok_or(DriverError::UnknownDevice(id))?)
}
