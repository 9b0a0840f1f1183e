//! `/devices`: list, heartbeats and work requests.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::DeviceId;
use protocol::device::{
    ApprovalRequest, CleanedUp, Device, DeviceChange, Heartbeat, HeartbeatAnswer,
    QuarantineRequest, check_labels,
};
use protocol::lease::Lease;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::caller::Caller;
use crate::clock;
use crate::http::auth::extractors::{Admin, OfDevice, Viewer};
use crate::http::extract::{Body, DeviceMessage, InPath, InQuery};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::http::texts::line;
use crate::poll_interval;

/// Maximum duration of a long poll for work or events, in seconds.
pub(crate) const LONGEST_WAIT: u64 = 60;
/// Default number of days without a heartbeat after which `cleanup` removes a device.
const FORGET_DAYS: f64 = 30.0;
/// Problem type of an invalid device name or label.
const INVALID: &str = "invalid-device";
const LONGEST_NAME: usize = 100;
const LONGEST_REASON: usize = 200;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(change))
        .routes(routes!(clean_up))
        .routes(routes!(heartbeat))
        .routes(routes!(next_job))
        .routes(routes!(leave))
        .routes(routes!(revoke))
        .routes(routes!(reinstate))
        .routes(routes!(quarantine))
        .routes(routes!(release))
        .routes(routes!(approve))
}

/// Lists the enrolled devices.
#[utoipa::path(get, path = "/devices", tag = "devices", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = Vec<Device>)))]
async fn list(_: Viewer, State(shared): State<ApiState>) -> Json<Vec<Device>> {
    Json(shared.views.devices(clock::now()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CleanUp {
    /// Days without a heartbeat after which a device is removed. Default: 30.
    inactive_days: Option<f64>,
}

/// Removes revoked devices and those without a recent heartbeat.
///
/// They can enroll again.
#[utoipa::path(post, path = "/devices/cleanup", tag = "devices", security(("token" = ["admin"])), params(CleanUp),
    responses((status = 200, body = CleanedUp)))]
async fn clean_up(
    admin: Admin,
    State(shared): State<ApiState>,
    InQuery(query): InQuery<CleanUp>,
) -> ApiResult<Json<CleanedUp>> {
    let days = query.inactive_days.unwrap_or(FORGET_DAYS);
    let unheard_for = Duration::try_from_secs_f64(days * 86_400.0).map_err(|_| {
        ApiError::bad_request("wrong-query", "inactive_days must be a number of days, 0 or more")
            .at("inactive_days")
    })?;
    Ok(Json(CleanedUp { removed: shared.driver.audited(&admin.0).clean_up(unheard_for).await? }))
}

/// Records a heartbeat.
///
/// It renews the lease it names.
#[utoipa::path(post, path = "/devices/{id}/heartbeat", tag = "devices", security(("token" = ["device"])),
    params(("id" = DeviceId, Path)), request_body = Heartbeat,
    responses((status = 200, body = HeartbeatAnswer)))]
async fn heartbeat(
    caller: OfDevice,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
    DeviceMessage(heartbeat): DeviceMessage<Heartbeat>,
) -> ApiResult<Json<HeartbeatAnswer>> {
    if heartbeat.session.as_ref().is_some_and(|session| !session.is_bounded()) {
        let words = "must be a short id after at most 8 others";
        return Err(ApiError::invalid("invalid-session", words).at("session"));
    }
    let device = caller.is(id)?;
    if shared.views.record_heartbeat(device, &heartbeat, clock::now()) {
        return Ok(Json(poll_interval::heartbeat_answer(shared.views.device_count(), true)));
    }
    Ok(Json(shared.driver.heartbeat(device, heartbeat).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Seconds to wait for work, at most 60.
    #[serde(default)]
    wait: u64,
}

/// Returns a lease for the device, or 204 if there is no work within `wait`.
///
/// Repeated requests return the same lease while it is held.
#[utoipa::path(get, path = "/devices/{id}/next-job", tag = "devices", security(("token" = ["device"])),
    params(("id" = DeviceId, Path), Wait),
    responses((status = 200, body = Lease), (status = 204, description = "No work now")))]
async fn next_job(
    caller: OfDevice,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
    InQuery(query): InQuery<Wait>,
) -> ApiResult<Response> {
    let device = caller.is(id)?;
    let wait = Duration::from_secs(query.wait.min(LONGEST_WAIT));
    let lease = tokio::select! {
        lease = shared.driver.next_job(device, wait) => lease?,
        () = shared.stopping.cancelled() => None,
    };
    if let Some(lease) = lease {
        return Ok(Json(lease).into_response());
    }
    let (devices, chance) = (shared.views.device_count(), rand::random());
    let again = if shared.stopping.is_cancelled() {
        poll_interval::return_after_stop(devices, chance)
    } else {
        poll_interval::next_question(devices, chance)
    };
    let again = [(header::RETRY_AFTER, HeaderValue::from(again.as_secs()))];
    Ok((StatusCode::NO_CONTENT, again).into_response())
}

/// Removes the calling device from the cluster.
///
/// Its token and its leases end. It can enroll again.
#[utoipa::path(post, path = "/devices/{id}/leave", tag = "devices", security(("token" = ["device"])),
    params(("id" = DeviceId, Path)), responses((status = 204, description = "The device was removed")))]
async fn leave(
    device: OfDevice,
    caller: Caller,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
) -> ApiResult<StatusCode> {
    shared.driver.audited(&caller).leave(device.is(id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a device's name and labels.
///
/// Omitted fields stay unchanged. A job with `run.labels` is leased only to devices with one of
/// these labels.
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), request_body = DeviceChange, responses((status = 200, body = Device)))]
async fn change(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
    Body(asked): Body<DeviceChange>,
) -> ApiResult<Json<Device>> {
    let change = checked(asked)?;
    Ok(Json(shared.driver.audited(&admin.0).change_device(id, change).await?))
}

fn checked(asked: DeviceChange) -> ApiResult<DeviceChange> {
    let name = asked.name.map(|name| line(INVALID, "name", &name, LONGEST_NAME)).transpose()?;
    let labels = asked.labels.map(|labels| {
        let labels: BTreeSet<String> = labels.iter().map(|it| it.trim().to_owned()).collect();
        labels.into_iter().collect::<Vec<_>>()
    });
    if let Some(labels) = &labels {
        check_labels(labels).map_err(|words| ApiError::invalid(INVALID, words).at("labels"))?;
    }
    Ok(DeviceChange { name, labels })
}

/// Revokes a device: ends its token and its leases at once.
///
/// It can enroll again after `POST /devices/{id}/reinstate`.
#[utoipa::path(post, path = "/devices/{id}/revoke", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn revoke(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
) -> ApiResult<Json<Device>> {
    Ok(Json(shared.driver.audited(&admin.0).revoke(id).await?))
}

/// Reinstates a revoked device: it may enroll again.
///
/// It needs a join code. If it enrolls with a new key, it waits for approval.
#[utoipa::path(post, path = "/devices/{id}/reinstate", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn reinstate(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
) -> ApiResult<Json<Device>> {
    Ok(Json(shared.driver.audited(&admin.0).reinstate(id).await?))
}

/// Quarantines a device: it gets no work until it is released, and its leases go to others.
///
/// A device that an administrator has already quarantined stays unchanged.
#[utoipa::path(post, path = "/devices/{id}/quarantine", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), request_body = QuarantineRequest,
    responses((status = 200, body = Device)))]
async fn quarantine(
    Admin(caller): Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
    Body(asked): Body<QuarantineRequest>,
) -> ApiResult<Json<Device>> {
    let reason = line(INVALID, "reason", &asked.reason, LONGEST_REASON)?;
    Ok(Json(shared.driver.audited(&caller).quarantine(id, reason).await?))
}

/// Releases a device from quarantine: it gets work again, and its rejected updates are cleared.
#[utoipa::path(post, path = "/devices/{id}/release", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn release(
    Admin(caller): Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
) -> ApiResult<Json<Device>> {
    Ok(Json(shared.driver.audited(&caller).release(id).await?))
}

/// Approves the key of a waiting device.
///
/// The device replaces its machine's earlier record, whose token and leases end at once. It gets
/// that record's labels only if requested.
#[utoipa::path(post, path = "/devices/{id}/approve", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), request_body = ApprovalRequest,
    responses((status = 200, body = Device)))]
async fn approve(
    Admin(caller): Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<DeviceId>,
    Body(asked): Body<ApprovalRequest>,
) -> ApiResult<Json<Device>> {
    Ok(Json(shared.driver.audited(&caller).approve(id, asked).await?))
}
