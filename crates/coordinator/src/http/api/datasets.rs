//! `/datasets`: lists datasets and adds files.

use std::path::{Path, PathBuf};

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use data::ImportFile;
use futures::{Stream, StreamExt};
use protocol::dataset::import::{FileRole, ImportOptions};
use protocol::dataset::upload::ImportRequest;
use protocol::dataset::{AddedDataset, DatasetEntry, FileProblem};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dataset_import::{self, Import};
use super::dataset_problems::check_name;
use super::dataset_uploads::{MOST_BYTES, plain_file_name, too_long};
use crate::blobs::Blobs;
use crate::datasets::KnownDataset;
use crate::http::auth::extractors::{Admin, Viewer};
use crate::http::extract::{Archived, Body, InQuery, MOST_JSON};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::server::body_timeout::stalled;
use crate::http::state::ApiState;

/// Number of bytes for which space is reserved at a time.
const STRIDE: u64 = 1 << 20;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, add))
}

/// Lists the datasets that a job can use: all that are not archived.
#[utoipa::path(get, path = "/datasets", tag = "datasets", security(("token" = ["viewer", "admin"])), params(Archived),
    responses((status = 200, body = Vec<DatasetEntry>)))]
async fn list(
    _: Viewer,
    State(shared): State<ApiState>,
    InQuery(asked): InQuery<Archived>,
) -> ApiResult<Json<Vec<DatasetEntry>>> {
    let datasets = shared.datasets.clone();
    let entries = tokio::task::spawn_blocking(move || datasets.list(asked.archived)).await;
    let entries = entries.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(entries.into_iter().map(entry).collect()))
}

pub(crate) fn entry(known: KnownDataset) -> DatasetEntry {
    let KnownDataset { entry: known, uploaded } = known;
    let info = known.info.as_ref();
    DatasetEntry {
        name: known.name,
        sample: known.sample,
        source: known.source,
        licence: known.licence,
        origin: known.origin.word().to_owned(),
        train_rows: info.map(|info| info.train_rows),
        validation_rows: info.map(|info| info.validation_rows),
        test_rows: info.map(|info| info.test_rows),
        classes: known.info.map(|info| info.classes),
        version: uploaded.as_ref().map(|uploaded| uploaded.version),
        archived: uploaded.is_some_and(|uploaded| uploaded.dataset.archived_at.is_some()),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Named {
    /// Name of the new dataset.
    #[serde(default)]
    name: String,
    /// File name. Its extension gives the format: `.csv`, `.jsonl`, `.parquet` or `.zip`. A form
    /// includes the name.
    #[serde(default)]
    filename: String,
    /// Add the file as the next version of an uploaded dataset of this name, if there is one. Default:
    /// `false`.
    #[serde(default)]
    new_version: bool,
}

/// Adds a dataset.
///
/// Send JSON that names uploaded files (`POST /datasets/uploads`) or a repository of the hub, or one file as
/// the body or as the field `file` of a form.
#[utoipa::path(post, path = "/datasets", tag = "datasets", security(("token" = ["admin"])), params(Named),
    request_body(content((Vec<u8> = "application/octet-stream"), (ImportRequest = "application/json"))),
    responses(
        (status = 201, body = AddedDataset),
        (status = 422, body = FileProblem, content_type = "application/problem+json",
            description = "Problem details. Lists the first unusable rows if there are too many, and the \
                decisions that the files leave open")
    ))]
async fn add(
    admin: Admin,
    State(shared): State<ApiState>,
    InQuery(named): InQuery<Named>,
    request: Request,
) -> ApiResult<(StatusCode, Json<AddedDataset>)> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let announced = announced.unwrap_or(0_u64);
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_of_kind = |wanted: &str| kind.is_some_and(|kind| kind.starts_with(wanted));
    let (is_json, is_form) = (is_of_kind("application/json"), is_of_kind("multipart/form-data"));
    if is_json && named.filename.is_empty() && named.name.is_empty() {
        let Body(request) = Body::from_request(request, &()).await?;
        let added = dataset_import::add_uploads(&admin, &shared, request).await?;
        return Ok((StatusCode::CREATED, Json(added)));
    }
    if !is_form || !named.name.is_empty() {
        check_name(&shared, &named.name, named.new_version)?;
    }
    if announced > MOST_BYTES {
        return Err(too_long());
    }
    shared.blobs.check_quota(announced.saturating_mul(2))?;
    let folder = shared.blobs.scratch_dir()?;
    let is_next = named.new_version;
    let (name, file) = if is_form {
        from_form(request, named, folder.path(), &shared).await?
    } else {
        let file =
            receive(request.into_body(), &named.filename, folder.path(), &shared.blobs).await?;
        (named.name, file)
    };
    let import = Import {
        name,
        is_next,
        files: vec![ImportFile { path: file, role: FileRole::Data }],
        options: ImportOptions::default(),
        hub: None,
        staged: Vec::new(),
        scratch: Some(folder),
    };
    let added = dataset_import::add(&admin, &shared, import).await?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn from_form(
    request: Request,
    named: Named,
    folder: &Path,
    shared: &ApiState,
) -> ApiResult<(String, PathBuf)> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| {
        tracing::debug!(%error, "a form without a boundary");
        ApiError::bad_request(
            "malformed-form",
            "the header Content-Type of a form needs its boundary; let the HTTP library set it, or send \
             the file itself as the body: POST /datasets?name=NAME&filename=FILE",
        )
    })?;
    let (mut name, is_next, mut file) = (named.name, named.new_version, None);
    while let Some(field) = form.next_field().await.map_err(|error| malformed(&error))? {
        match field.name() {
            Some("name") => {
                name = field.text().await.map_err(|error| malformed(&error))?;
                check_name(shared, &name, is_next)?;
            }
            Some("file") => {
                let own = field.file_name().unwrap_or_default().to_owned();
                let filename = if named.filename.is_empty() { own } else { named.filename.clone() };
                let broken = |error| malformed(&error);
                file = Some(store(field, &filename, folder, &shared.blobs, broken).await?);
            }
            Some(_) | None => {}
        }
    }
    let missing = || ApiError::invalid("bad-dataset", "the form has no field `file`").at("file");
    let file = file.ok_or_else(missing)?;
    check_name(shared, &name, is_next)?;
    Ok((name, file))
}

async fn receive(
    body: RawBody,
    filename: &str,
    folder: &Path,
    blobs: &Blobs,
) -> ApiResult<PathBuf> {
    let broken = |error: axum::Error| {
        let message = "the connection broke; upload the file again";
        stalled(&error).unwrap_or_else(|| ApiError::bad_request("broken-upload", message))
    };
    store(body.into_data_stream(), filename, folder, blobs, broken).await
}

/// A form is parsed in memory, so it has the size limit of other bodies in memory.
fn malformed(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large(format!(
            "a form may have at most {} MiB; send the file itself as the body: \
             POST /datasets?name=NAME&filename=FILE",
            MOST_JSON >> 20
        ));
    }
    stalled(error).unwrap_or_else(|| {
        tracing::debug!(%error, "a malformed form");
        let message = "the form is cut off or not valid multipart/form-data; send it again, with the \
                       fields `name` and `file`";
        ApiError::bad_request("malformed-form", message)
    })
}

/// Stores the received bytes under the last component of the file name.
async fn store<E>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    filename: &str,
    folder: &Path,
    blobs: &Blobs,
    broken: impl Fn(E) -> ApiError,
) -> ApiResult<PathBuf> {
    let path = folder.join(plain_file_name(filename)?);
    let mut file = tokio::fs::File::create(&path).await?;
    let (mut stored, mut granted) = (0, 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(&broken)?;
        stored += chunk.len() as u64;
        if stored > MOST_BYTES {
            return Err(too_long());
        }
        if stored > granted {
            // The rows made from the file take the same space again.
            blobs.check_quota(2 * STRIDE)?;
            granted = stored + STRIDE;
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(path)
}
