//! `/datasets`: lists datasets and adds files.

use std::path::{Path, PathBuf};

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use data::{AddReport, BadRow, CatalogEntry, DataError, ReadLimits};
use futures::{Stream, StreamExt};
use protocol::dataset::{AddedDataset, DatasetEntry, FileProblem, RowProblem};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::blobs::{Blobs, is_full};
use crate::crash_points::CrashPoint;
use crate::http::auth::extractors::{Admin, Viewer};
use crate::http::extract::InQuery;
use crate::http::extract::MOST_JSON;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::server::body_timeout::stalled;
use crate::http::state::ApiState;
use crate::http::texts::check_text;

/// Size limit of an added file.
const MOST_BYTES: u64 = 8 << 30;
/// Number of bytes for which space is reserved at a time.
const STRIDE: u64 = 1 << 20;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, add))
}

/// Lists the datasets that a job can use.
#[utoipa::path(get, path = "/datasets", tag = "datasets", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = Vec<DatasetEntry>)))]
async fn list(_: Viewer, State(shared): State<ApiState>) -> ApiResult<Json<Vec<DatasetEntry>>> {
    let sources = shared.sources.clone();
    let entries = tokio::task::spawn_blocking(move || sources.list()).await;
    let entries = entries.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(entries.into_iter().map(entry).collect()))
}

pub(crate) fn entry(known: CatalogEntry) -> DatasetEntry {
    let (classes, rows) = match known.info {
        Some(info) => (Some(info.classes), Some((info.train_rows, info.test_rows))),
        None => (None, None),
    };
    let (train_rows, test_rows) = rows.unzip();
    DatasetEntry {
        name: known.name,
        sample: known.sample,
        source: known.source,
        licence: known.licence,
        origin: known.origin.word().to_owned(),
        classes,
        train_rows,
        test_rows,
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
}

/// Adds a dataset.
///
/// Send the file as the body, or as the field `file` of a form.
#[utoipa::path(post, path = "/datasets", tag = "datasets", security(("token" = ["admin"])), params(Named),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = AddedDataset),
        (status = 422, body = FileProblem, content_type = "application/problem+json",
            description = "Problem details. Lists the first unusable rows if there are too many")
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
    if announced > MOST_BYTES {
        return Err(too_long());
    }
    shared.blobs.check_quota(announced.saturating_mul(2))?;
    let folder = shared.blobs.scratch_dir()?;
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_form = kind.is_some_and(|kind| kind.starts_with("multipart/form-data"));
    let (name, file) = if is_form {
        from_form(request, named, folder.path(), &shared.blobs).await?
    } else {
        let file =
            receive(request.into_body(), &named.filename, folder.path(), &shared.blobs).await?;
        (named.name, file)
    };
    if name.is_empty() {
        return Err(ApiError::invalid("bad-dataset", "add a name: ?name=NAME").at("name"));
    }
    let (sources, turn) = (shared.sources.clone(), shared.adding.clone().lock_owned().await);
    let usual = ReadLimits::default();
    let bounds = ReadLimits { disk: usual.disk.min(shared.blobs.quota_left()?), ..usual };
    let added = tokio::task::spawn_blocking(move || {
        // The requester may be gone before this is done.
        let _turn = turn;
        let added = sources.add_within(&name, &file, bounds, &mut |_| {});
        added.map_err(|error| failure(&error, folder.path()))
    });
    let added = added.await.map_err(|error| ApiError::internal(error.to_string()))??;
    shared.points.pass(CrashPoint::DatasetPlaced);
    shared.driver.by(&admin.0).dataset_added(added.info.name.clone()).await?;
    Ok((StatusCode::CREATED, Json(report(added))))
}

async fn from_form(
    request: Request,
    named: Named,
    folder: &Path,
    blobs: &Blobs,
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
    let (mut name, mut file) = (named.name, None);
    while let Some(field) = form.next_field().await.map_err(|error| malformed(&error))? {
        match field.name() {
            Some("name") => name = field.text().await.map_err(|error| malformed(&error))?,
            Some("file") => {
                let own = field.file_name().unwrap_or_default().to_owned();
                let filename = if named.filename.is_empty() { own } else { named.filename.clone() };
                file =
                    Some(store(field, &filename, folder, blobs, |error| malformed(&error)).await?);
            }
            Some(_) | None => {}
        }
    }
    let missing = || ApiError::invalid("bad-dataset", "the form has no field `file`").at("file");
    Ok((name, file.ok_or_else(missing)?))
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
    let last = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = last.len() <= 200 && !last.starts_with('.');
    if last.is_empty() || !plain {
        let words = "add the file name: ?filename=FILE.csv (.jsonl, .parquet, .zip)";
        return Err(ApiError::invalid("bad-dataset", words).at("filename"));
    }
    check_text("bad-dataset", "filename", last, 200)?;
    let path = folder.join(last);
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

fn too_long() -> ApiError {
    ApiError::too_large(format!(
        "the file is larger than {} GiB; upload a smaller one",
        MOST_BYTES >> 30
    ))
}

fn report(added: AddReport) -> AddedDataset {
    AddedDataset {
        problems: rows(&added.problems),
        info: added.info,
        understood: added.understood,
        bad_rows: added.bad_rows,
    }
}

fn rows(bad: &[BadRow]) -> Vec<RowProblem> {
    let shown = bad.iter().cloned().map(|BadRow { file, line, reason, change }| RowProblem {
        file,
        line,
        reason,
        change,
    });
    shown.collect()
}

/// Returns the error of the file without its path on this disk.
fn failure(error: &DataError, folder: &Path) -> ApiError {
    let words = error.to_string().replace(&format!("{}/", folder.display()), "");
    match error {
        DataError::Io { source, .. } if is_full(source) => ApiError::disk_full(),
        DataError::Io { .. } => ApiError::internal(words),
        DataError::BadName(_) => ApiError::invalid("bad-dataset", words).at("name"),
        DataError::NameTaken(_) => ApiError::conflict("name-taken", words).at("name"),
        DataError::TooManyBadRows { bad, first, .. } => {
            ApiError::invalid("bad-dataset", words).at("file").with_rows(*bad, rows(first))
        }
        DataError::Unknown { .. }
        | DataError::Offline { .. }
        | DataError::Denied { .. }
        | DataError::Missing { .. }
        | DataError::Refused { .. }
        | DataError::Damaged { .. }
        | DataError::Interrupted { .. }
        | DataError::Row { .. }
        | DataError::File { .. }
        | DataError::Shard { .. }
        | DataError::ClassTooSmall { .. }
        | DataError::HiddenClass(_)
        | DataError::TooFewClasses(_)
        | DataError::Undecided { .. } => ApiError::invalid("bad-dataset", words).at("file"),
    }
}
