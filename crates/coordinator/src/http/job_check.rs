//! `/jobs/check`: whether a job can be trained, and what it would train; nothing is stored.

use axum::Json;
use axum::extract::State;
use data::catalog::Published;
use protocol::job::{JobCheck, JobError, JobSpec};
use protocol::model::ModelSpec;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Viewer;
use super::extract::Body;
use super::problem::{ApiError, ApiResult};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(check))
}

/// A job that can be trained, as far as that is known without a download.
pub(super) struct Checked {
    pub(super) spec: JobSpec,
    pub(super) model: ModelSpec,
}

/// What a job would train, with every default filled in. What is wrong with it is said as `POST /jobs`
/// says it.
#[utoipa::path(post, path = "/jobs/check", tag = "jobs", security(("token" = ["viewer", "admin"])), request_body = JobSpec,
    responses((status = 200, body = JobCheck)))]
async fn check(
    _: Viewer,
    State(shared): State<Shared>,
    Body(spec): Body<JobSpec>,
) -> ApiResult<Json<JobCheck>> {
    let Checked { spec, model } = checked(&shared, spec).await?;
    let layers = model.outline().map_err(JobError::from)?;
    let parameters = layers.iter().map(|layer| layer.parameters).sum();
    Ok(Json(JobCheck { config: spec.filled_in(), spec: model, parameters, layers }))
}

/// Checks the job whole; refuses what can't be trained.
pub(super) async fn checked(shared: &Shared, spec: JobSpec) -> ApiResult<Checked> {
    spec.check()?;
    let sources = shared.sources.clone();
    let check = move || -> ApiResult<Checked> {
        let known = sources.list();
        let Some(entry) = known.iter().find(|entry| entry.name == spec.dataset) else {
            return Err(unknown(&spec.dataset, &sources));
        };
        let classes = match &entry.info {
            Some(info) => info.classes.len(),
            // As published, until a download says otherwise.
            None => Published::named(&entry.name).map_or(0, |published| published.classes.len()),
        };
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

/// Loading what nobody knows fails at once, with the names that are known.
fn unknown(name: &str, sources: &data::Sources) -> ApiError {
    let words = match sources.load_here(name, &mut |_| {}) {
        Err(error) => error.to_string(),
        Ok(_) => format!("dataset '{name}' was added just now; try again"),
    };
    ApiError::invalid("unknown-dataset", words).at("dataset")
}

fn check_rows(spec: &JobSpec, train_rows: u64) -> Result<(), JobError> {
    let limit = Some(spec.data.train_limit).filter(|limit| *limit > 0);
    let rows = limit.map_or(train_rows, |limit| limit.min(train_rows));
    let partitions = u64::from(spec.data.partitions);
    if partitions <= rows {
        return Ok(());
    }
    let message = format!("{partitions} partitions of {rows} rows would leave some empty");
    Err(JobError::Field { field: "data.partitions", message })
}
