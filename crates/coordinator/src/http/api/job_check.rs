//! `/jobs/check`: checks a job without storing it.

use axum::Json;
use axum::extract::State;
use data::catalog::Published;
use protocol::job::{JobCheck, JobError, JobSpec};
use protocol::model::ModelSpec;
use protocol::split_version;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::datasets::{Datasets, KnownDataset};
use crate::http::auth::extractors::Viewer;
use crate::http::extract::JobBody;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(check))
}

/// A job that passed every check that needs no download.
pub(crate) struct Checked {
    pub(crate) spec: JobSpec,
    pub(crate) model: ModelSpec,
}

/// Checks a job and returns what it would train, with every default filled in. Errors are the same as
/// those of `POST /jobs`.
#[utoipa::path(post, path = "/jobs/check", tag = "jobs", security(("token" = ["viewer", "admin"])), request_body = JobSpec,
    responses((status = 200, body = JobCheck)))]
async fn check(
    _: Viewer,
    State(shared): State<ApiState>,
    JobBody(spec): JobBody,
) -> ApiResult<Json<JobCheck>> {
    let Checked { spec, model } = checked(&shared, spec).await?;
    let layers = model.outline().map_err(JobError::from)?;
    let parameters = layers.iter().map(|layer| layer.parameters).sum();
    Ok(Json(JobCheck { config: spec.filled_in(), spec: model, parameters, layers }))
}

/// Checks the whole job and refuses one that can't be trained.
pub(crate) async fn checked(shared: &ApiState, spec: JobSpec) -> ApiResult<Checked> {
    spec.check()?;
    let datasets = shared.datasets.clone();
    let check = move || -> ApiResult<Checked> {
        let Some(KnownDataset { entry, uploaded }) = datasets.find(&spec.dataset) else {
            return Err(unknown_dataset(&spec.dataset, &datasets));
        };
        if uploaded.is_some_and(|uploaded| uploaded.dataset.archived_at.is_some()) {
            let words = format!("dataset '{}' is archived; unarchive it first", entry.name);
            return Err(ApiError::conflict("archived-dataset", words).at("dataset"));
        }
        let classes = match &entry.info {
            Some(info) => info.classes.len(),
            // The published number of classes, until a download provides the real one.
            None => Published::named(&entry.name).map_or(0, |published| published.classes.len()),
        };
        if classes == 0 {
            return Err(without_labels(&entry.name));
        }
        let classes = u32::try_from(classes).unwrap_or(u32::MAX);
        let model = spec.model_spec(entry.sample, classes)?;
        if let Some(info) = &entry.info {
            check_rows(&spec, info.train_rows)?;
        }
        Ok(Checked { spec, model })
    };
    tokio::task::spawn_blocking(check)
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?
}

/// Returns the error for a dataset that was imported without labels.
pub(super) fn without_labels(name: &str) -> ApiError {
    let message = format!(
        "dataset '{name}' has no labels, and the models of this version predict a class; add the files \
         again with --label COLUMN, or choose another dataset"
    );
    ApiError::invalid("dataset-without-labels", message).at("dataset")
}

/// Returns the error for an unknown dataset or version.
fn unknown_dataset(text: &str, datasets: &Datasets) -> ApiError {
    let (name, version) = split_version(text);
    let message = match (datasets.find(name), version) {
        (Some(KnownDataset { uploaded: Some(uploaded), .. }), Some(version)) => {
            let known = uploaded.dataset.versions.keys().map(ToString::to_string);
            let known = known.collect::<Vec<_>>().join(", ");
            format!("dataset '{name}' has no version {version}; its versions are {known}")
        }
        (Some(KnownDataset { uploaded: None, .. }), Some(_)) => {
            format!("dataset '{name}' is built in and has one version; write '{name}'")
        }
        (Some(_), None) | (None, _) => datasets.unknown(text).to_string(),
    };
    ApiError::invalid("unknown-dataset", message).at("dataset")
}

/// Checks that every partition gets at least one row.
fn check_rows(spec: &JobSpec, train_rows: u64) -> Result<(), JobError> {
    let limit = Some(spec.data.train_limit).filter(|limit| *limit > 0);
    let rows = limit.map_or(train_rows, |limit| limit.min(train_rows));
    let partitions = u64::from(spec.data.partitions);
    if partitions <= rows {
        return Ok(());
    }
    let message = format!("{partitions} is more than the {rows} training rows; use at most {rows}");
    Err(JobError::Field { field: "data.partitions", message })
}
