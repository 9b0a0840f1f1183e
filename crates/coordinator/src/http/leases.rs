//! `/leases`: progress, giving back, and updates.

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

use super::Shared;
use super::auth::OfDevice;
use super::extract::{Body, InPath};
use super::problem::{Answer, Failure};
use crate::driver::{Refusal, upload_key};

/// More steps or rows than any lease has; sums of many stay whole numbers.
const MOST_COUNTED: u64 = 1 << 48;
/// Of what a device says went wrong.
const LONGEST_DETAIL: usize = 2000;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(progress))
        .routes(routes!(give_back))
        .routes(routes!(update))
}

/// How far a lease is; keeps it.
#[utoipa::path(post, path = "/leases/{id}/progress", tag = "leases", security(("token" = ["device"])),
    params(("id" = LeaseId, Path)), request_body = Progress,
    responses((status = 200, body = ProgressAnswer)))]
async fn progress(
    OfDevice(device): OfDevice,
    State(shared): State<Shared>,
    InPath(lease): InPath<LeaseId>,
    Body(progress): Body<Progress>,
) -> Answer<Json<ProgressAnswer>> {
    Ok(Json(shared.driver.progress(lease, device, progress).await?))
}

/// Gives a lease back undone.
#[utoipa::path(post, path = "/leases/{id}/return", tag = "leases", security(("token" = ["device"])),
    params(("id" = LeaseId, Path)), request_body = LeaseReturn,
    responses((status = 204, description = "The seat is open again")))]
async fn give_back(
    OfDevice(device): OfDevice,
    State(shared): State<Shared>,
    InPath(lease): InPath<LeaseId>,
    Body(mut body): Body<LeaseReturn>,
) -> Answer<StatusCode> {
    // The words of a trainer's failure may have several lines; nothing is refused for that.
    let shown = |detail: String| detail.chars().take(LONGEST_DETAIL).collect::<String>();
    body.detail = body.detail.map(|detail| text::escaped(&shown(detail)));
    shared.driver.return_lease(lease, device, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reports a lease's update, whose bytes were sent up under it before (`PUT /blobs/{hash}?lease=ID`). Safe
/// to repeat; durable before it is answered.
#[utoipa::path(put, path = "/leases/{id}/update", tag = "leases", security(("token" = ["device"])),
    params(("id" = LeaseId, Path)), request_body = Update,
    responses((status = 200, body = UpdateAnswer)))]
async fn update(
    OfDevice(device): OfDevice,
    State(shared): State<Shared>,
    InPath(lease): InPath<LeaseId>,
    Body(update): Body<Update>,
) -> Answer<Json<UpdateAnswer>> {
    check_metrics(&update)?;
    let permit = shared.driver.permit(lease, device).await?;
    // Where the seat needs none, the machine still says what becomes of it.
    let norm = if permit.awaited {
        let sent = shared.blobs.partial(update.blob, &upload_key(lease, device));
        // A blob that another sent is as if it wasn't there.
        if sent.whole()?.is_none() {
            return Err(Refusal::MissingBlob(update.blob).into());
        }
        check_bytes(&shared, update.blob, permit.parameters).await?
    } else {
        Ok(0.0)
    };
    let norm = match norm {
        Ok(norm) => norm,
        Err(BadUpdate(words)) => {
            shared.driver.refuse_update(lease, device, update.blob, words.clone()).await?;
            return Err(Failure::invalid("bad-update", words).at("blob"));
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

fn check_metrics(update: &Update) -> Answer<()> {
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
    Err(Failure::invalid("invalid-metrics", words).at("metrics"))
}

/// Bytes that no honest device would send, in words.
struct BadUpdate(String);

/// The update's bytes must be there, as many as the model has parameters, finite and in bounds;
/// gives their norm.
async fn check_bytes(
    shared: &Shared,
    blob: BlobHash,
    parameters: u64,
) -> Answer<Result<f64, BadUpdate>> {
    // Each holds its bytes in memory meanwhile.
    let _place = shared.blobs.place().await;
    let blobs = shared.blobs.clone();
    let check = move || -> Answer<Result<f64, BadUpdate>> {
        let Some(length) = blobs.length(blob)? else {
            return Err(Refusal::MissingBlob(blob).into());
        };
        let count = usize::try_from(parameters).unwrap_or(usize::MAX);
        let expected = parameters * 4;
        if length != expected {
            let words = format!("the update has {length} bytes, but the model takes {expected}");
            return Ok(Err(BadUpdate(words)));
        }
        let Some(bytes) = blobs.bytes(blob, expected)? else {
            return Err(Refusal::MissingBlob(blob).into());
        };
        Ok(check_update(&bytes, count).map_err(|fault| BadUpdate(fault.to_string())))
    };
    tokio::task::spawn_blocking(check)
        .await
        .map_err(|error| Failure::internal(error.to_string()))?
}
