//! `/blobs`: blobs by hash, with range downloads and resumable uploads.

use std::pin::pin;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use protocol::{BlobHash, DeviceId, LeaseId};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::credential::Credential;
use crate::blobs::UploadError;
use crate::clock;
use crate::driver::upload_key;
use crate::http::auth::extractors::{BlobCaller, unauthorized};
use crate::http::extract::{InPath, InQuery};
use crate::http::files;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::server::body_timeout::stalled;
use crate::http::server::revocable::until;
use crate::http::state::ApiState;

/// Size limit of an administrator's upload: a flat vector of the largest supported model.
const MOST_BYTES: u64 = 400_000_000;
/// Limit of different blobs for one lease. It has one update, and more if the first was lost or
/// rejected.
const MOST_OF_A_LEASE: usize = 8;
/// Key of uploads without a lease.
const PERSON: &str = "person";

const UPLOAD_OFFSET: &str = "upload-offset";
const UPLOAD_COMPLETE: &str = "upload-complete";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(download, look, upload))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Under {
    /// Lease of the upload.
    lease: Option<LeaseId>,
}

/// Returns a blob's bytes.
///
/// A single range is supported. `ETag` is the hash. A device can read what its open lease names, until the lease ends.
#[utoipa::path(get, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])), params(("hash" = BlobHash, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>, description = "The requested range"),
        (status = 304, description = "`If-None-Match` names the blob")))]
async fn download(
    caller: BlobCaller,
    State(shared): State<ApiState>,
    InPath(hash): InPath<BlobHash>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let BlobCaller::Device(device) = caller else {
        return files::send(&shared.blobs, hash, &headers).await;
    };
    let lease = leased(&shared, device, hash).await?;
    let response = files::send(&shared.blobs, hash, &headers).await?;
    Ok(response.map(|body| {
        let counted = shared.views.traffic.count(device, body.into_data_stream());
        until(lease.cancelled_owned(), Body::from_stream(counted))
    }))
}

/// Returns a token that is cancelled at the end of the lease that lets the device read the blob.
/// This check comes first, so that a device doesn't learn whether a blob exists that it may not
/// read.
async fn leased(
    shared: &ApiState,
    device: DeviceId,
    hash: BlobHash,
) -> ApiResult<CancellationToken> {
    let lease = shared.driver.begin_download(device, hash).await?;
    lease.ok_or_else(|| {
        let detail = "a device can only read blobs that its open lease names";
        ApiError::new(StatusCode::FORBIDDEN, "blob-not-leased", "Forbidden", detail)
    })
}

/// Returns how much of a blob is stored.
///
/// With `lease`: where its upload resumes, as `Upload-Offset` and `Upload-Complete`. Bytes from
/// other senders don't count.
#[utoipa::path(head, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])),
    params(("hash" = BlobHash, Path), Under),
    responses((status = 200, description = "Result in the headers"), (status = 304, description = "`If-None-Match` names the blob")))]
async fn look(
    caller: BlobCaller,
    State(shared): State<ApiState>,
    InPath(hash): InPath<BlobHash>,
    InQuery(under): InQuery<Under>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    match (caller, under.lease) {
        (BlobCaller::Device(device), Some(lease)) => {
            let awaited = shared.driver.permit(lease, device).await?.awaited;
            let partial = shared.blobs.partial(hash, &upload_key(lease, device));
            return match partial.whole()? {
                Some(length) => Ok(state(StatusCode::OK, length, true)),
                None if awaited => Ok(state(StatusCode::OK, partial.offset().await?, false)),
                None => Err(lease_over()),
            };
        }
        (BlobCaller::Device(device), None) => drop(leased(&shared, device, hash).await?),
        (BlobCaller::Admin, _) => {}
    }
    let stored = shared.blobs.length(hash)?;
    if matches!(caller, BlobCaller::Admin) && (under.lease.is_some() || stored.is_none()) {
        let offset = match stored {
            Some(length) => length,
            None => shared.blobs.partial(hash, PERSON).offset().await?,
        };
        return Ok(state(StatusCode::OK, offset, stored.is_some()));
    }
    let length = stored
        .ok_or_else(|| ApiError::not_found("unknown-blob", format!("there is no blob {hash}")))?;
    if files::has_already(&headers, hash) {
        return Ok(files::not_modified(hash));
    }
    let mut response = StatusCode::OK.into_response();
    files::set_file_headers(response.headers_mut(), hash, length);
    Ok(response)
}

/// Uploads a blob's bytes from `Upload-Offset` to its end.
///
/// A broken connection keeps the bytes that arrived. The blob is stored once it is complete and its
/// hash matches.
#[utoipa::path(put, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])),
    params(("hash" = BlobHash, Path), Under,
        ("Upload-Offset" = Option<u64>, Header, description = "Number of stored bytes; 0 if omitted")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored")))]
async fn upload(
    caller: BlobCaller,
    credential: Option<Extension<Arc<Credential>>>,
    State(shared): State<ApiState>,
    InPath(hash): InPath<BlobHash>,
    InQuery(under): InQuery<Under>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let right = Right::for_caller(&shared, caller, under.lease).await?;
    let partial = shared.blobs.partial(hash, &right.key);
    let stored = match caller {
        BlobCaller::Admin => shared.blobs.length(hash)?,
        BlobCaller::Device(_) => partial.whole()?,
    };
    if let Some(length) = stored {
        return Ok(state(StatusCode::CREATED, length, true));
    }
    let Some(end) = right.end else { return Err(lease_over()) };
    let offset = number(&headers, UPLOAD_OFFSET)?.unwrap_or(0);
    let announced = number(&headers, header::CONTENT_LENGTH.as_str())?.unwrap_or(0);
    let limit = right.limit;
    if offset.saturating_add(announced) > limit {
        return Err(ApiError::too_large(format!("this upload is limited to {limit} bytes")));
    }
    if matches!(caller, BlobCaller::Device(_))
        && !shared.blobs.begin(hash, &right.key, MOST_OF_A_LEASE)
    {
        let words = format!(
            "a lease has one update, and {MOST_OF_A_LEASE} different ones were begun; report one of \
             them, or give the lease back"
        );
        return Err(ApiError::conflict("too-many-blobs", words));
    }
    shared.blobs.check_quota(announced)?;
    let mut timeout = None;
    let bytes = until(end.clone().cancelled_owned(), body).into_data_stream();
    let bytes = bytes.inspect_err(|error| timeout = stalled(error));
    let received = match caller {
        BlobCaller::Admin => partial.receive(offset, limit, bytes).await,
        BlobCaller::Device(device) => {
            let bytes = shared.views.traffic.count(device, bytes);
            partial.receive(offset, limit, pin!(bytes)).await
        }
    };
    match received {
        // Checked before the network error.
        Err(UploadError::Broken) if end.is_cancelled() => return Err(lease_over()),
        Err(UploadError::Broken)
            if credential.is_some_and(|Extension(known)| !known.counts(clock::now())) =>
        {
            return Err(unauthorized());
        }
        received => match (received, timeout) {
            (Err(UploadError::Broken), Some(timeout)) => return Err(timeout),
            (received, _) => received?,
        },
    }
    let length = shared.blobs.length(hash)?.unwrap_or(0);
    Ok(state(StatusCode::CREATED, length, true))
}

/// Upload permission of a caller.
struct Right {
    /// Key of the upload.
    key: String,
    /// Size limit in bytes.
    limit: u64,
    /// Cancelled when the upload must stop. `None` if no bytes are accepted now.
    end: Option<CancellationToken>,
}

impl Right {
    async fn for_caller(
        shared: &ApiState,
        caller: BlobCaller,
        lease: Option<LeaseId>,
    ) -> ApiResult<Self> {
        match (caller, lease) {
            (BlobCaller::Admin, _) => {
                let end = Some(CancellationToken::new());
                Ok(Self { key: PERSON.to_owned(), limit: MOST_BYTES, end })
            }
            (BlobCaller::Device(device), Some(lease)) => {
                let (permit, end) = shared.driver.begin_upload(lease, device).await?;
                let (key, limit) = (upload_key(lease, device), permit.parameters * 4);
                Ok(Self { key, limit, end })
            }
            (BlobCaller::Device(_), None) => {
                Err(ApiError::bad_request("wrong-query", "add the lease: ?lease=ID").at("lease"))
            }
        }
    }
}

fn lease_over() -> ApiError {
    let detail = "the lease's seat no longer accepts an update; stop and request other work";
    ApiError::new(StatusCode::GONE, "lease-over", "Gone", detail)
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
