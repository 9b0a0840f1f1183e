//! `/blobs`: bytes by their hash, down in ranges and up in pieces.

use std::pin::pin;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{BlobHash, LeaseId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::BlobCaller;
use super::extract::{InPath, InQuery};
use super::problem::{ApiError, ApiResult};
use super::{Shared, files};
use crate::driver::upload_key;

/// An administrator's upload: a flat vector of the largest model there may be.
const MOST_BYTES: u64 = 400_000_000;
/// Different blobs of one lease: it has one update, and others where the first was lost or refused.
const MOST_OF_A_LEASE: usize = 8;
/// The key of uploads that belong to no lease.
const PERSON: &str = "person";

const UPLOAD_OFFSET: &str = "upload-offset";
const UPLOAD_COMPLETE: &str = "upload-complete";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(download, look, upload))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Under {
    /// The lease that the upload belongs to.
    lease: Option<LeaseId>,
}

/// A blob's bytes; one range is honoured. A device gets what its open lease names.
#[utoipa::path(get, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])), params(("hash" = BlobHash, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>)))]
async fn download(
    caller: BlobCaller,
    State(shared): State<Shared>,
    InPath(hash): InPath<BlobHash>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    may_read(&shared, caller, hash).await?;
    let response = files::send(&shared.blobs, hash, &headers).await?;
    let BlobCaller::Device(device) = caller else { return Ok(response) };
    Ok(response.map(|body| {
        Body::from_stream(shared.views.traffic.counted(device, body.into_data_stream()))
    }))
}

async fn may_read(shared: &Shared, caller: BlobCaller, hash: BlobHash) -> ApiResult<()> {
    let allowed = match caller {
        BlobCaller::Admin => true,
        BlobCaller::Device(device) => shared.driver.may_read(device, hash).await?,
    };
    if allowed {
        return Ok(());
    }
    let detail = "a device reads only the blobs that its open lease names";
    Err(ApiError::new(StatusCode::FORBIDDEN, "blob-not-leased", "Forbidden", detail))
}

/// How much of a blob is here. With `lease`: where its upload goes on, as `Upload-Offset` and
/// `Upload-Complete`.
#[utoipa::path(head, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])),
    params(("hash" = BlobHash, Path), Under),
    responses((status = 200, description = "In the headers")))]
async fn look(
    caller: BlobCaller,
    State(shared): State<Shared>,
    InPath(hash): InPath<BlobHash>,
    InQuery(under): InQuery<Under>,
) -> ApiResult<Response> {
    let stored = shared.blobs.length(hash)?;
    let uploads =
        under.lease.is_some() || (matches!(caller, BlobCaller::Admin) && stored.is_none());
    if uploads {
        let key = key(caller, under.lease)?;
        check_lease(&shared, caller, under.lease, stored.is_some()).await?;
        let offset = match stored {
            Some(length) => length,
            None => shared.blobs.partial(hash, &key).offset().await?,
        };
        return Ok(state(StatusCode::OK, offset, stored.is_some()));
    }
    may_read(&shared, caller, hash).await?;
    let length = stored.ok_or_else(|| {
        ApiError::not_found("unknown-blob", format!("there is no blob {hash} here"))
    })?;
    let mut response = StatusCode::OK.into_response();
    files::describe(response.headers_mut(), hash, length);
    Ok(response)
}

/// A blob's bytes from `Upload-Offset` to its end. A connection that breaks keeps what arrived; a
/// blob counts once it is whole and its hash is right.
#[utoipa::path(put, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])),
    params(("hash" = BlobHash, Path), Under,
        ("Upload-Offset" = Option<u64>, Header, description = "Bytes that are stored; 0 if missing")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored")))]
async fn upload(
    caller: BlobCaller,
    State(shared): State<Shared>,
    InPath(hash): InPath<BlobHash>,
    InQuery(under): InQuery<Under>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let key = key(caller, under.lease)?;
    let stored = shared.blobs.length(hash)?;
    let limit = check_lease(&shared, caller, under.lease, stored.is_some()).await?;
    if let Some(length) = stored {
        return Ok(state(StatusCode::CREATED, length, true));
    }
    let offset = number(&headers, UPLOAD_OFFSET)?.unwrap_or(0);
    let announced = number(&headers, header::CONTENT_LENGTH.as_str())?.unwrap_or(0);
    if offset.saturating_add(announced) > limit {
        return Err(ApiError::too_large(format!("this upload may have at most {limit} bytes")));
    }
    if matches!(caller, BlobCaller::Device(_)) && !shared.blobs.begin(hash, &key, MOST_OF_A_LEASE) {
        let words = format!(
            "a lease has one update, and {MOST_OF_A_LEASE} different ones were begun; report one of \
             them, or give the lease back"
        );
        return Err(ApiError::conflict("too-many-blobs", words));
    }
    shared.blobs.ask_room(announced)?;
    let (partial, bytes) = (shared.blobs.partial(hash, &key), body.into_data_stream());
    match caller {
        BlobCaller::Admin => partial.receive(offset, limit, bytes).await?,
        BlobCaller::Device(device) => {
            let bytes = shared.views.traffic.counted(device, bytes);
            partial.receive(offset, limit, pin!(bytes)).await?;
        }
    }
    let length = shared.blobs.length(hash)?.unwrap_or(0);
    Ok(state(StatusCode::CREATED, length, true))
}

/// Whose upload it is.
fn key(caller: BlobCaller, lease: Option<LeaseId>) -> ApiResult<String> {
    match (caller, lease) {
        (BlobCaller::Admin, _) => Ok(PERSON.to_owned()),
        (BlobCaller::Device(device), Some(lease)) => Ok(upload_key(lease, device)),
        (BlobCaller::Device(_), None) => {
            Err(ApiError::bad_request("wrong-query", "name the lease: ?lease=ID").at("lease"))
        }
    }
}

/// Bytes that the caller may send, where its lease still takes an update.
async fn check_lease(
    shared: &Shared,
    caller: BlobCaller,
    lease: Option<LeaseId>,
    stored: bool,
) -> ApiResult<u64> {
    let (BlobCaller::Device(device), Some(lease)) = (caller, lease) else { return Ok(MOST_BYTES) };
    let permit = shared.driver.permit(lease, device).await?;
    if permit.awaited || stored {
        return Ok(permit.parameters * 4);
    }
    let detail = "the lease's seat takes no update any more; stop, and ask for other work";
    Err(ApiError::new(StatusCode::GONE, "lease-over", "Gone", detail))
}

fn number(headers: &HeaderMap, name: &str) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong =
        || ApiError::bad_request("wrong-header", format!("{name} must be a number of bytes"));
    number.map(Some).ok_or_else(wrong)
}

fn state(status: StatusCode, offset: u64, complete: bool) -> Response {
    let complete = HeaderValue::from_static(if complete { "?1" } else { "?0" });
    let mut response = status.into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    response.headers_mut().insert(UPLOAD_COMPLETE, complete);
    response
}
