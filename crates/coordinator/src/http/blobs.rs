//! `/blobs`: bytes by their hash, down in ranges and up in pieces.

use std::pin::pin;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{BlobHash, DeviceId, LeaseId};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{BlobCaller, unauthorized};
use super::extract::{InPath, InQuery};
use super::problem::{Answer, Failure};
use super::revocable::until;
use super::{Shared, files};
use crate::blobs::UploadFault;
use crate::clock;
use crate::credential::Credential;
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

/// A blob's bytes; one range is honoured. A device gets what its open lease names, until that ends.
#[utoipa::path(get, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])), params(("hash" = BlobHash, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>)))]
async fn download(
    caller: BlobCaller,
    State(shared): State<Shared>,
    InPath(hash): InPath<BlobHash>,
    headers: HeaderMap,
) -> Answer<Response> {
    let BlobCaller::Device(device) = caller else {
        return files::send(&shared.blobs, hash, &headers).await;
    };
    let lease = leased(&shared, device, hash).await?;
    let response = files::send(&shared.blobs, hash, &headers).await?;
    Ok(response.map(|body| {
        let counted = shared.views.traffic.counted(device, body.into_data_stream());
        until(lease.cancelled_owned(), Body::from_stream(counted))
    }))
}

/// The end of the lease that lets the device read the blob. Nothing else of a blob is looked at before:
/// a device doesn't hear whether there is one that it may not read.
async fn leased(shared: &Shared, device: DeviceId, hash: BlobHash) -> Answer<CancellationToken> {
    let lease = shared.driver.begin_download(device, hash).await?;
    lease.ok_or_else(|| {
        let detail = "a device reads only the blobs that its open lease names";
        Failure::new(StatusCode::FORBIDDEN, "blob-not-leased", "Forbidden", detail)
    })
}

/// How much of a blob is here. With `lease`: where its upload goes on, as `Upload-Offset` and
/// `Upload-Complete`; what others sent doesn't count.
#[utoipa::path(head, path = "/blobs/{hash}", tag = "blobs", security(("token" = ["device", "admin"])),
    params(("hash" = BlobHash, Path), Under),
    responses((status = 200, description = "In the headers")))]
async fn look(
    caller: BlobCaller,
    State(shared): State<Shared>,
    InPath(hash): InPath<BlobHash>,
    InQuery(under): InQuery<Under>,
) -> Answer<Response> {
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
    let length = stored.ok_or_else(|| {
        Failure::not_found("unknown-blob", format!("there is no blob {hash} here"))
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
    credential: Option<Extension<Arc<Credential>>>,
    State(shared): State<Shared>,
    InPath(hash): InPath<BlobHash>,
    InQuery(under): InQuery<Under>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let right = Right::of(&shared, caller, under.lease).await?;
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
        return Err(Failure::too_large(format!("this upload may have at most {limit} bytes")));
    }
    if matches!(caller, BlobCaller::Device(_))
        && !shared.blobs.begin(hash, &right.key, MOST_OF_A_LEASE)
    {
        let words = format!(
            "a lease has one update, and {MOST_OF_A_LEASE} different ones were begun; report one of \
             them, or give the lease back"
        );
        return Err(Failure::conflict("too-many-blobs", words));
    }
    shared.blobs.ask_room(announced)?;
    let bytes = until(end.clone().cancelled_owned(), body).into_data_stream();
    let received = match caller {
        BlobCaller::Admin => partial.receive(offset, limit, bytes).await,
        BlobCaller::Device(device) => {
            let bytes = shared.views.traffic.counted(device, bytes);
            partial.receive(offset, limit, pin!(bytes)).await
        }
    };
    match received {
        // Said before the network is blamed.
        Err(UploadFault::Broken) if end.is_cancelled() => return Err(lease_over()),
        Err(UploadFault::Broken)
            if credential.is_some_and(|Extension(known)| !known.counts(clock::now())) =>
        {
            return Err(unauthorized());
        }
        received => received?,
    }
    let length = shared.blobs.length(hash)?.unwrap_or(0);
    Ok(state(StatusCode::CREATED, length, true))
}

/// What a caller may send up.
struct Right {
    /// Whose upload it is.
    key: String,
    /// Bytes.
    limit: u64,
    /// Cancelled when bytes stop being taken; none where they aren't taken now.
    end: Option<CancellationToken>,
}

impl Right {
    async fn of(shared: &Shared, caller: BlobCaller, lease: Option<LeaseId>) -> Answer<Self> {
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
                Err(Failure::bad_request("wrong-query", "name the lease: ?lease=ID").at("lease"))
            }
        }
    }
}

fn lease_over() -> Failure {
    let detail = "the lease's seat takes no update any more; stop, and ask for other work";
    Failure::new(StatusCode::GONE, "lease-over", "Gone", detail)
}

fn number(headers: &HeaderMap, name: &str) -> Answer<Option<u64>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong =
        || Failure::bad_request("wrong-header", format!("{name} must be a number of bytes"));
    number.map(Some).ok_or_else(wrong)
}

fn state(status: StatusCode, offset: u64, complete: bool) -> Response {
    let complete = HeaderValue::from_static(if complete { "?1" } else { "?0" });
    let mut response = status.into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    response.headers_mut().insert(UPLOAD_COMPLETE, complete);
    response
}
