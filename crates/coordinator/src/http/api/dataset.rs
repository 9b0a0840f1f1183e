//! `/datasets/{name}`: one dataset, its rows, and its partitions for a job.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data::{DataError, Dataset, Origin, Row, Sample, image_decode};
use protocol::dataset::{
    DatasetDetail, DatasetRow, DatasetVersion, PartitionCounts, Partitions, PartitionsRequest,
    SampleShape, Split,
};
use protocol::job::{JobSpec, ModelChoice, ModelType, PlanSpec, RunSpec, StrategySpec};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::datasets::entry;
use super::job_check::without_labels;
use crate::datasets::UploadedVersion;
use crate::datasets::preview::{MOST_ROWS, class_counts};
use crate::http::auth::extractors::Viewer;
use crate::http::extract::{Body, InPath, InQuery};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::steps::prepare::partitions;

/// Default number of rows in a response.
const ROWS: usize = 20;
/// Maximum number of characters of a text.
const LONGEST_TEXT: usize = 10_000;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(rows)).routes(routes!(divide))
}

/// Returns one dataset. `NAME@N` names a version of an uploaded dataset, here and wherever a dataset is named.
///
/// Its rows are counted if they are on the coordinator's machine; the first count takes as long as
/// reading them.
#[utoipa::path(get, path = "/datasets/{name}", tag = "datasets", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path)), responses((status = 200, body = DatasetDetail)))]
async fn show(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
) -> ApiResult<Json<DatasetDetail>> {
    let (datasets, wanted) = (shared.datasets.clone(), name.clone());
    let find = move || datasets.find(&wanted);
    let found = tokio::task::spawn_blocking(find).await;
    let found = found.map_err(|error| ApiError::internal(error.to_string()))?;
    let Some(found) = found else { return Err(unknown(&name)) };
    let versions = found.uploaded.as_ref().map(versions).unwrap_or_default();
    let glance = match found.entry.origin {
        Origin::Hub => None,
        Origin::Embedded | Origin::Local | Origin::Cached | Origin::Uploaded => {
            shared.dataset_cache.preview(&name).await.map_err(|error| unreadable(&name, &error))?
        }
    };
    let mut entry = entry(found);
    if let Some(glance) = &glance {
        entry.classes = Some(glance.info.classes.clone());
        entry.train_rows = Some(glance.train.rows);
        entry.validation_rows = Some(glance.info.validation_rows);
        entry.test_rows = Some(glance.test.rows);
    }
    let here = glance.is_some();
    let counts = glance
        .as_deref()
        .map(|glance| (glance.train.class_counts.clone(), glance.test.class_counts.clone()));
    let (train_class_counts, test_class_counts) = counts.unzip();
    Ok(Json(DatasetDetail { entry, train_class_counts, test_class_counts, here, versions }))
}

/// Returns the versions of an uploaded dataset, the newest first.
fn versions(uploaded: &UploadedVersion) -> Vec<DatasetVersion> {
    let dataset = &uploaded.dataset;
    let versions = dataset.versions.iter().rev().map(|(version, row)| DatasetVersion {
        version: *version,
        name: format!("{}@{version}", dataset.name),
        created_at: row.created_at,
        created_by: row.created_by.clone(),
        files: row.files.clone(),
        classes: row.info.classes.clone(),
        train_rows: row.info.train_rows,
        validation_rows: row.info.validation_rows,
        test_rows: row.info.test_rows,
        bytes: row.bytes(),
        plan: row.plan.clone(),
    });
    versions.collect()
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Number of rows to skip.
    #[serde(default)]
    offset: usize,
    /// Maximum number of rows, at most 100. Default: 20.
    limit: Option<usize>,
    /// Split. Default: `train`.
    #[serde(default)]
    #[param(inline)]
    split: Split,
}

/// Returns rows of a dataset that is on the coordinator's machine, in the dataset's order.
#[utoipa::path(get, path = "/datasets/{name}/rows", tag = "datasets", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Page), responses((status = 200, body = Vec<DatasetRow>)))]
async fn rows(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(page): InQuery<Page>,
) -> ApiResult<Json<Vec<DatasetRow>>> {
    let glance =
        shared.dataset_cache.preview(&name).await.map_err(|error| unreadable(&name, &error))?;
    let glance = glance.ok_or_else(|| not_here(&name))?;
    let limit = page.limit.unwrap_or(ROWS).min(MOST_ROWS);
    let is_kept = glance.split(page.split).page(page.offset, limit).is_some();
    let whole = if is_kept { None } else { Some(here(&shared, &name).await?) };
    let shown = move || {
        let rows = match (&whole, page.split) {
            (None, split) => glance.split(split).page(page.offset, limit).unwrap_or_default(),
            (Some(whole), Split::Train) => beyond(&whole.train, page.offset),
            (Some(whole), Split::Test) => beyond(&whole.test, page.offset),
        };
        rows.iter().take(limit).map(|row| shown(row, glance.info.sample)).collect()
    };
    let shown = tokio::task::spawn_blocking(shown).await;
    Ok(Json(shown.map_err(|error| ApiError::internal(error.to_string()))?))
}

/// Returns how a job with this seed and without a target accuracy would divide the rows.
///
/// Nothing is stored.
#[utoipa::path(post, path = "/datasets/{name}/partitions", tag = "datasets",
    security(("token" = ["viewer", "admin"])), params(("name" = String, Path)),
    request_body = PartitionsRequest, responses((status = 200, body = Partitions)))]
async fn divide(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    Body(asked): Body<PartitionsRequest>,
) -> ApiResult<Json<Partitions>> {
    job(&name, &asked).check()?;
    let dataset = here(&shared, &name).await?;
    let divide = move || -> ApiResult<Partitions> {
        let classes = &dataset.info.classes;
        if classes.is_empty() {
            return Err(without_labels(&dataset.info.name));
        }
        let parts = partitions(asked.seed, &asked.data, &dataset)?;
        let partitions = parts.iter().map(|rows| PartitionCounts {
            rows: rows.len() as u64,
            class_counts: class_counts(rows.iter().copied(), classes.len()),
        });
        Ok(Partitions { partitions: partitions.collect(), classes: classes.clone() })
    };
    let divided = tokio::task::spawn_blocking(divide).await;
    Ok(Json(divided.map_err(|error| ApiError::internal(error.to_string()))??))
}

/// Returns a job with these partition settings, for validation.
fn job(name: &str, asked: &PartitionsRequest) -> JobSpec {
    JobSpec {
        name: "partitions".to_owned(),
        // The model is not checked.
        model_type: ModelType::Nlp,
        dataset: name.to_owned(),
        seed: asked.seed,
        model: ModelChoice::default(),
        data: asked.data.clone(),
        plan: PlanSpec::default(),
        strategy: StrategySpec::default(),
        run: RunSpec::default(),
    }
}

/// Returns the dataset. Its rows must be on this machine.
async fn here(shared: &ApiState, name: &str) -> ApiResult<Arc<Dataset>> {
    let found = shared.dataset_cache.load(name).await.map_err(|error| unreadable(name, &error))?;
    found.ok_or_else(|| not_here(name))
}

fn beyond(rows: &[Row], offset: usize) -> &[Row] {
    rows.get(offset..).unwrap_or_default()
}

fn not_here(name: &str) -> ApiError {
    let words = format!(
        "the rows of '{name}' are not on the coordinator's machine; a job that trains on it \
         downloads them"
    );
    ApiError::conflict("dataset-not-here", words)
}

pub(super) fn unknown(name: &str) -> ApiError {
    let words = format!("there is no dataset '{name}'; GET /datasets shows the names");
    ApiError::not_found("unknown-dataset", words)
}

fn unreadable(name: &str, error: &DataError) -> ApiError {
    match error {
        DataError::Unknown { .. } | DataError::BadName(_) => unknown(name),
        DataError::Offline { .. }
        | DataError::Denied { .. }
        | DataError::Missing { .. }
        | DataError::Refused { .. }
        | DataError::Damaged { .. }
        | DataError::Interrupted { .. }
        | DataError::Row { .. }
        | DataError::File { .. }
        | DataError::Shard { .. }
        | DataError::TooManyBadRows { .. }
        | DataError::ClassTooSmall { .. }
        | DataError::HiddenClass(_)
        | DataError::TooFewClasses(_)
        | DataError::Undecided { .. } => {
            ApiError::conflict("unreadable-dataset", format!("'{name}' can't be read: {error}"))
        }
        DataError::Io { .. } => ApiError::internal(error.to_string()),
    }
}

fn shown(row: &Row, shape: SampleShape) -> DatasetRow {
    let (text, image) = match (&row.sample, shape) {
        (Sample::Text(text), _) => (Some(text.chars().take(LONGEST_TEXT).collect()), None),
        (Sample::Image(pixels), SampleShape::Image { channels, height, width }) => {
            let png = image_decode::png(channels, height, width, pixels);
            let image = png.map(|png| format!("data:image/png;base64,{}", STANDARD.encode(png)));
            (None, image)
        }
        (Sample::Image(_), SampleShape::Text) => (None, None),
    };
    DatasetRow { label: row.label, text, image }
}
