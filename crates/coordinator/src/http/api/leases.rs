//! `/leases`: progress, returns and updates.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use federation::aggregate::check_update;
use federation::machine::Receipt;
use protocol::lease::{LeaseReturn, Progress, ProgressAnswer, Update, UpdateAnswer};
use protocol::text;
use protocol::{BlobHash, LeaseId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::driver::{DriverError, upload_key};
use crate::http::auth::extractors::OfDevice;
use crate::http::extract::{DeviceMessage, InPath};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

/// Upper bound of a lease's steps or rows. Sums of many stay exact integers.
const MOST_COUNTED: u64 = 1 << 48;
/// Maximum number of characters of a device's error detail.
const LONGEST_DETAIL: usize = 2000;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(progress))
        .routes(routes!(give_back))
        .routes(routes!(update))
}

/// Reports the progress of a lease and renews it.
#[utoipa::path(post, path = "/leases/{id}/progress", tag = "leases", security(("token" = ["device"])),
    params(("id" = LeaseId, Path)), request_body = Progress,
    responses((status = 200, body = ProgressAnswer)))]
async fn progress(
    OfDevice(device): OfDevice,
    State(shared): State<ApiState>,
    InPath(lease): InPath<LeaseId>,
    DeviceMessage(progress): DeviceMessage<Progress>,
) -> ApiResult<Json<ProgressAnswer>> {
    Ok(Json(shared.driver.progress(lease, device, progress).await?))
}

/// Returns a lease without an update.
#[utoipa::path(post, path = "/leases/{id}/return", tag = "leases", security(("token" = ["device"])),
    params(("id" = LeaseId, Path)), request_body = LeaseReturn,
    responses((status = 204, description = "The lease was returned")))]
async fn give_back(
    OfDevice(device): OfDevice,
    State(shared): State<ApiState>,
    InPath(lease): InPath<LeaseId>,
    DeviceMessage(mut body): DeviceMessage<LeaseReturn>,
) -> ApiResult<StatusCode> {
    // A trainer's error may have several lines; that doesn't invalidate the request.
    let shown = |detail: String| detail.chars().take(LONGEST_DETAIL).collect::<String>();
    body.detail = body.detail.map(|detail| text::escaped(&shown(detail)));
    shared.driver.return_lease(lease, device, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reports a lease's update, whose bytes were uploaded under the lease before (`PUT
/// /blobs/{hash}?lease=ID`).
///
/// Safe to repeat. The update is durable before the response.
#[utoipa::path(put, path = "/leases/{id}/update", tag = "leases", security(("token" = ["device"])),
    params(("id" = LeaseId, Path)), request_body = Update,
    responses((status = 200, body = UpdateAnswer)))]
async fn update(
    OfDevice(device): OfDevice,
    State(shared): State<ApiState>,
    InPath(lease): InPath<LeaseId>,
    DeviceMessage(update): DeviceMessage<Update>,
) -> ApiResult<Json<UpdateAnswer>> {
    check_metrics(&update)?;
    let permit = shared.driver.permit(lease, device).await?;
    // If the seat needs no update, the machine still decides what happens to it.
    let norm = if permit.awaited {
        let sent = shared.blobs.partial(update.blob, &upload_key(lease, device));
        // A blob that another device uploaded counts as missing.
        if sent.whole()?.is_none() {
            return Err(DriverError::MissingBlob(update.blob).into());
        }
        check_bytes(&shared, update.blob, permit.parameters).await?
    } else {
        Ok(0.0)
    };
    let norm = match norm {
        Ok(norm) => norm,
        Err(BadUpdate(words)) => {
            shared.driver.refuse_update(lease, device, update.blob, words.clone()).await?;
            return Err(ApiError::invalid("bad-update", words).at("blob"));
        }
    };
    let receipt = Receipt {
        blob: update.blob,
        bytes: permit.parameters * 4,
        norm,
        metrics: update.metrics,
        fingerprint: update.fingerprint,
    };
    let outcome = shared.driver.update(lease, device, receipt, permit.awaited).await?;
    Ok(Json(UpdateAnswer { outcome }))
}

fn check_metrics(update: &Update) -> ApiResult<()> {
    let metrics = &update.metrics;
    let sane = metrics.loss.is_finite()
        && metrics.seconds.is_finite()
        && metrics.seconds >= 0.0
        && metrics.steps <= MOST_COUNTED
        && metrics.examples <= MOST_COUNTED;
    if sane {
        return Ok(());
    }
    let words = "must have a finite loss, seconds of 0 or more, and counts below 2^48";
    Err(ApiError::invalid("invalid-metrics", words).at("metrics"))
}

/// Reason why bytes can't come from an honest device.
struct BadUpdate(String);

/// Checks that the update's bytes are stored, match the model's parameter count, and are finite and
/// within bounds. Returns their norm.
async fn check_bytes(
    shared: &ApiState,
    blob: BlobHash,
    parameters: u64,
) -> ApiResult<Result<f64, BadUpdate>> {
    // Each check holds its bytes in memory.
    let _place = shared.blobs.place().await;
    let blobs = shared.blobs.clone();
    let check = move || -> ApiResult<Result<f64, BadUpdate>> {
        let Some(length) = blobs.length(blob)? else {
            return Err(DriverError::MissingBlob(blob).into());
        };
        let count = usize::try_from(parameters).unwrap_or(usize::MAX);
        let expected = parameters * 4;
        if length != expected {
            let words = format!("the update has {length} bytes, but the model takes {expected}");
            return Ok(Err(BadUpdate(words)));
        }
        let Some(bytes) = blobs.bytes(blob, expected)? else {
            return Err(DriverError::MissingBlob(blob).into());
        };
        Ok(check_update(&bytes, count).map_err(|fault| BadUpdate(fault.to_string())))
    };
    tokio::task::spawn_blocking(check)
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?
}
