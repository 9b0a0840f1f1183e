//! `/devices`: who there is, signs of life, asking for work.

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

use super::Shared;
use super::auth::{Admin, OfDevice, Viewer};
use super::extract::{Body, InPath, InQuery};
use super::problem::{Answer, Failure};
use super::texts::line;
use crate::caller::Caller;
use crate::clock;
use crate::pace;

/// The longest that a request for work or for events is held, in seconds.
pub(crate) const LONGEST_WAIT: u64 = 60;
/// Days after which `cleanup` forgets a silent device, unless it is told otherwise.
const FORGET_DAYS: f64 = 30.0;
/// The kind of problem where a device can't be called or sorted so.
const INVALID: &str = "invalid-device";
const LONGEST_NAME: usize = 100;
const LONGEST_REASON: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(change))
        .routes(routes!(clean_up))
        .routes(routes!(heartbeat))
        .routes(routes!(next_job))
        .routes(routes!(leave))
        .routes(routes!(revoke))
        .routes(routes!(quarantine))
        .routes(routes!(release))
        .routes(routes!(approve))
}

/// Every enrolled device.
#[utoipa::path(get, path = "/devices", tag = "devices", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = Vec<Device>)))]
async fn list(_: Viewer, State(shared): State<Shared>) -> Json<Vec<Device>> {
    Json(shared.views.devices(clock::now()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CleanUp {
    /// Days of silence after which a device is forgotten; 30 where none are given.
    inactive_days: Option<f64>,
}

/// Forgets revoked devices and those that were silent for long. They may enrol again.
#[utoipa::path(post, path = "/devices/cleanup", tag = "devices", security(("token" = ["admin"])), params(CleanUp),
    responses((status = 200, body = CleanedUp)))]
async fn clean_up(
    admin: Admin,
    State(shared): State<Shared>,
    InQuery(query): InQuery<CleanUp>,
) -> Answer<Json<CleanedUp>> {
    let days = query.inactive_days.unwrap_or(FORGET_DAYS);
    let unheard_for = Duration::try_from_secs_f64(days * 86_400.0).map_err(|_| {
        Failure::bad_request("wrong-query", "inactive_days must be a number of days, 0 or more")
            .at("inactive_days")
    })?;
    Ok(Json(CleanedUp { removed: shared.driver.by(&admin.0).clean_up(unheard_for).await? }))
}

/// A sign of life; one that names a lease keeps it.
#[utoipa::path(post, path = "/devices/{id}/heartbeat", tag = "devices", security(("token" = ["device"])),
    params(("id" = DeviceId, Path)), request_body = Heartbeat,
    responses((status = 200, body = HeartbeatAnswer)))]
async fn heartbeat(
    caller: OfDevice,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
    Body(said): Body<Heartbeat>,
) -> Answer<Json<HeartbeatAnswer>> {
    if said.session.as_ref().is_some_and(|session| !session.is_bounded()) {
        let words = "must be a short id after at most 8 others";
        return Err(Failure::invalid("invalid-session", words).at("session"));
    }
    let device = caller.is(id)?;
    if shared.views.hear(device, &said, clock::now()) {
        return Ok(Json(pace::heartbeat_answer(shared.views.device_count(), true)));
    }
    Ok(Json(shared.driver.heartbeat(device, said).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Seconds to wait for work; at most 60.
    #[serde(default)]
    wait: u64,
}

/// Work for the device: a lease, or 204 where there is none within `wait`. Asked again it answers
/// the same lease for as long as that is held.
#[utoipa::path(get, path = "/devices/{id}/next-job", tag = "devices", security(("token" = ["device"])),
    params(("id" = DeviceId, Path), Wait),
    responses((status = 200, body = Lease), (status = 204, description = "Nothing to do now")))]
async fn next_job(
    caller: OfDevice,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
    InQuery(query): InQuery<Wait>,
) -> Answer<Response> {
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
        pace::return_after_stop(devices, chance)
    } else {
        pace::next_question(devices, chance)
    };
    let again = [(header::RETRY_AFTER, HeaderValue::from(again.as_secs()))];
    Ok((StatusCode::NO_CONTENT, again).into_response())
}

/// A device leaves the cluster: its token and its leases end, and it is off the list. It may enrol
/// again.
#[utoipa::path(post, path = "/devices/{id}/leave", tag = "devices", security(("token" = ["device"])),
    params(("id" = DeviceId, Path)), responses((status = 204, description = "Gone")))]
async fn leave(
    device: OfDevice,
    caller: Caller,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
) -> Answer<StatusCode> {
    shared.driver.by(&caller).leave(device.is(id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Names a device and sorts it by labels; what is left out stays. A job with `run.labels` is leased only
/// to devices with one of them.
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), request_body = DeviceChange, responses((status = 200, body = Device)))]
async fn change(
    admin: Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
    Body(asked): Body<DeviceChange>,
) -> Answer<Json<Device>> {
    let change = checked(asked)?;
    Ok(Json(shared.driver.by(&admin.0).change_device(id, change).await?))
}

fn checked(asked: DeviceChange) -> Answer<DeviceChange> {
    let name = asked.name.map(|name| line(INVALID, "name", &name, LONGEST_NAME)).transpose()?;
    let labels = asked.labels.map(|labels| {
        let labels: BTreeSet<String> = labels.iter().map(|it| it.trim().to_owned()).collect();
        labels.into_iter().collect::<Vec<_>>()
    });
    if let Some(labels) = &labels {
        check_labels(labels).map_err(|words| Failure::invalid(INVALID, words).at("labels"))?;
    }
    Ok(DeviceChange { name, labels })
}

/// Ends a device's token and its leases, at once. Only an administrator's token enrols it again.
#[utoipa::path(post, path = "/devices/{id}/revoke", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn revoke(
    admin: Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
) -> Answer<Json<Device>> {
    Ok(Json(shared.driver.by(&admin.0).revoke(id).await?))
}

/// Gives a device no work until it is released, and its leases to others. One that an administrator put
/// there already stays as it is.
#[utoipa::path(post, path = "/devices/{id}/quarantine", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), request_body = QuarantineRequest,
    responses((status = 200, body = Device)))]
async fn quarantine(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
    Body(asked): Body<QuarantineRequest>,
) -> Answer<Json<Device>> {
    let reason = line(INVALID, "reason", &asked.reason, LONGEST_REASON)?;
    Ok(Json(shared.driver.by(&caller).quarantine(id, reason).await?))
}

/// Lets a device out of quarantine: it gets work again, and what was refused of it is forgotten.
#[utoipa::path(post, path = "/devices/{id}/release", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), responses((status = 200, body = Device)))]
async fn release(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
) -> Answer<Json<Device>> {
    Ok(Json(shared.driver.by(&caller).release(id).await?))
}

/// Approves the key of a device that waits for it. The device takes the place of its machine's earlier
/// record, whose token and leases end at once. It gets that record's labels only where asked.
#[utoipa::path(post, path = "/devices/{id}/approve", tag = "devices", security(("token" = ["admin"])),
    params(("id" = DeviceId, Path)), request_body = ApprovalRequest,
    responses((status = 200, body = Device)))]
async fn approve(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<DeviceId>,
    Body(asked): Body<ApprovalRequest>,
) -> Answer<Json<Device>> {
    Ok(Json(shared.driver.by(&caller).approve(id, asked).await?))
}
