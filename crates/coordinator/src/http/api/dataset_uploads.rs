//! `/datasets/uploads`: files that wait for their import, with resumable uploads.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use protocol::UploadId;
use protocol::dataset::upload::StagedUpload;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dataset_problems::check_name;
use crate::blobs::UploadError;
use crate::http::auth::extractors::Admin;
use crate::http::extract::{InPath, InQuery};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::server::body_timeout::stalled;
use crate::http::state::ApiState;
use crate::http::texts::check_text;
use crate::staging::StagedFile;

/// Size limit of a file.
pub(super) const MOST_BYTES: u64 = 8 << 30;

const UPLOAD_OFFSET: &str = "upload-offset";
const UPLOAD_COMPLETE: &str = "upload-complete";

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(state, append, delete))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NewFile {
    /// File name, such as `reviews.csv`.
    #[serde(default)]
    filename: String,
    /// Length of the file in bytes. Required without a body.
    length: Option<u64>,
    /// Name of the new dataset, to check it before the upload.
    name: Option<String>,
}

/// Uploads a file for an import.
///
/// Send the whole file as the body. For a resumable upload send no body and `length`, then the bytes with
/// `PATCH`. The file is deleted after an hour without use.
#[utoipa::path(post, path = "/datasets/uploads", tag = "datasets", security(("token" = ["admin"])),
    params(NewFile), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = StagedUpload)))]
async fn begin(
    _: Admin,
    State(shared): State<ApiState>,
    InQuery(new): InQuery<NewFile>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    if let Some(name) = &new.name {
        check_name(&shared, name, false)?;
    }
    let filename = plain_file_name(&new.filename)?;
    let announced = number(&headers, header::CONTENT_LENGTH.as_str())?.filter(|length| *length > 0);
    let is_empty = announced.is_none() && axum::body::HttpBody::is_end_stream(&body);
    let Some(length) = new.length.or(announced) else {
        let words = "add the length of the file in bytes: ?length=BYTES";
        return Err(ApiError::invalid("bad-upload", words).at("length"));
    };
    if length == 0 {
        return Err(ApiError::invalid("bad-upload", "the file is empty").at("length"));
    }
    if length > MOST_BYTES {
        return Err(too_long());
    }
    let file = on_staging(&shared, move |staging| staging.create(&filename, length)).await??;
    if !is_empty {
        let received = receive(&file, 0, body).await.and_then(|()| {
            if file.received()? == length { Ok(()) } else { Err(UploadError::Broken.into()) }
        });
        if let Err(error) = received {
            // The sender doesn't know the id, so it can't resume.
            shared.staging.remove(file.id());
            return Err(error);
        }
    }
    answer(StatusCode::CREATED, &file)
}

/// Returns the state of an uploaded file.
///
/// The headers `Upload-Offset` and `Upload-Complete` say where the upload resumes.
#[utoipa::path(get, path = "/datasets/uploads/{id}", tag = "datasets", security(("token" = ["admin"])),
    params(("id" = UploadId, Path)), responses((status = 200, body = StagedUpload)))]
async fn state(
    _: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<UploadId>,
) -> ApiResult<Response> {
    let file = staged(&shared, id).await?;
    answer(StatusCode::OK, &file)
}

/// Appends bytes to an uploaded file.
///
/// A broken connection keeps the bytes that arrived.
#[utoipa::path(patch, path = "/datasets/uploads/{id}", tag = "datasets", security(("token" = ["admin"])),
    params(("id" = UploadId, Path),
        ("Upload-Offset" = Option<u64>, Header, description = "Number of stored bytes; 0 if omitted")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = StagedUpload)))]
async fn append(
    _: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<UploadId>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let offset = number(&headers, UPLOAD_OFFSET)?.unwrap_or(0);
    let announced = number(&headers, header::CONTENT_LENGTH.as_str())?.unwrap_or(0);
    let file = staged(&shared, id).await?;
    if offset.saturating_add(announced) > file.length() {
        return Err(UploadError::TooLong { limit: file.length() }.into());
    }
    receive(&file, offset, body).await?;
    answer(StatusCode::OK, &file)
}

/// Deletes an uploaded file.
#[utoipa::path(delete, path = "/datasets/uploads/{id}", tag = "datasets", security(("token" = ["admin"])),
    params(("id" = UploadId, Path)), responses((status = 204, description = "Deleted")))]
async fn delete(
    _: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<UploadId>,
) -> ApiResult<StatusCode> {
    if on_staging(&shared, move |staging| staging.remove(id)).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(id))
    }
}

/// Returns an uploaded file and counts this as its use.
pub(super) async fn staged(shared: &ApiState, id: UploadId) -> ApiResult<Arc<StagedFile>> {
    on_staging(shared, move |staging| staging.file(id)).await??.ok_or_else(|| unknown(id))
}

/// Returns the last component of a file name. Rejects names of hidden files and names that can't be displayed.
pub(super) fn plain_file_name(filename: &str) -> ApiResult<String> {
    let last = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = last.len() <= 200 && !last.starts_with('.');
    if last.is_empty() || !plain {
        let words = "add the file name: ?filename=FILE.csv (.jsonl, .parquet, .zip)";
        return Err(ApiError::invalid("bad-dataset", words).at("filename"));
    }
    check_text("bad-dataset", "filename", last, 200)?;
    Ok(last.to_owned())
}

pub(super) fn too_long() -> ApiError {
    ApiError::too_large(format!(
        "the file is larger than {} GiB; upload a smaller one",
        MOST_BYTES >> 30
    ))
}

/// Runs work on the staged files on a blocking thread.
async fn on_staging<T: Send + 'static>(
    shared: &ApiState,
    work: impl FnOnce(&crate::staging::Staging) -> T + Send + 'static,
) -> ApiResult<T> {
    let staging = shared.staging.clone();
    let done = tokio::task::spawn_blocking(move || work(&staging)).await;
    done.map_err(|error| ApiError::internal(error.to_string()))
}

async fn receive(file: &StagedFile, offset: u64, body: Body) -> ApiResult<()> {
    let mut timeout = None;
    let bytes = body.into_data_stream().inspect_err(|error| timeout = stalled(error));
    let received = file.receive(offset, bytes).await;
    match (received, timeout) {
        (Err(UploadError::Broken), _) if file.ended().is_cancelled() => Err(unknown(file.id())),
        (Err(UploadError::Broken), Some(timeout)) => Err(timeout),
        (received, _) => Ok(received?),
    }
}

fn unknown(id: UploadId) -> ApiError {
    let words = format!(
        "there is no upload {id}: it was imported, deleted or not used for an hour, or the coordinator \
         restarted; upload the file again"
    );
    ApiError::not_found("unknown-upload", words)
}

fn answer(status: StatusCode, file: &StagedFile) -> ApiResult<Response> {
    let state = file.state()?;
    let complete = HeaderValue::from_static(if state.is_complete() { "?1" } else { "?0" });
    let offset = HeaderValue::from(state.received);
    let mut response = (status, Json(state)).into_response();
    response.headers_mut().insert(UPLOAD_OFFSET, offset);
    response.headers_mut().insert(UPLOAD_COMPLETE, complete);
    Ok(response)
}

fn number(headers: &HeaderMap, name: &str) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong =
        || ApiError::bad_request("wrong-header", format!("{name} must be a number of bytes"));
    number.map(Some).ok_or_else(wrong)
}
