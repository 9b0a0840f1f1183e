//! `/devices/{id}`: one device and its leases.

use axum::Json;
use axum::extract::State;
use protocol::device::Device;
use protocol::lease::DeviceLease;
use protocol::{DeviceId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::job_history::with_held;
use crate::clock;
use crate::driver::{DriverError, LEASES_KEPT};
use crate::http::auth::extractors::Viewer;
use crate::http::extract::{InPath, InQuery};
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;
use crate::store::MOST_LEASES;

/// Default number of leases in an answer.
const DEFAULT_LEASES: u64 = 200;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(leases))
}

/// Returns one device.
#[utoipa::path(get, path = "/devices/{id}", tag = "devices", security(("token" = ["viewer", "admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn show(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
) -> ApiResult<Json<Device>> {
    Ok(Json(find_device(&shared, id)?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Newest {
    /// Return only leases that were granted or ended at this time or later. Leases of that millisecond may be
    /// returned again.
    after: Option<Timestamp>,
    /// Maximum number of leases, up to 2,000. Default: 200.
    limit: Option<u64>,
}

/// Returns the newest leases of a device in the last 30 days, for all jobs, sorted from old to new.
#[utoipa::path(get, path = "/devices/{id}/leases", tag = "devices",
    security(("token" = ["viewer", "admin"])), params(("id" = DeviceId, Path), Newest),
    responses((status = 200, body = Vec<DeviceLease>)))]
async fn leases(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
    InQuery(query): InQuery<Newest>,
) -> ApiResult<Json<Vec<DeviceLease>>> {
    let device = find_device(&shared, id)?;
    let oldest = clock::now().before(LEASES_KEPT);
    let after = query.after.unwrap_or(Timestamp::from_millis(i64::MIN));
    let limit = query.limit.unwrap_or(DEFAULT_LEASES).min(MOST_LEASES);
    let held = shared.driver.held_leases(move |row| row.record.device == id).await?;
    let rows = shared.read(move |reader| reader.leases_of_device(id, oldest, after, limit)).await?;
    let leases = with_held(rows, held, [oldest, after], limit).into_iter().map(|row| {
        let job = shared.views.job(row.job);
        let mut lease = row.record;
        lease.device_name.clone_from(&device.name);
        let job_name = job.map(|view| view.job.name.clone()).unwrap_or_default();
        DeviceLease { job: row.job, job_name, lease }
    });
    Ok(Json(leases.collect()))
}

/// Returns the device, or an error if there is none with this id.
fn find_device(shared: &ApiState, id: DeviceId) -> ApiResult<Device> {
    Ok(shared.views.device(id, clock::now()).ok_or(DriverError::UnknownDevice(id))?)
}
