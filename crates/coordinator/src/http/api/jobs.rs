//! `/jobs`: creating, controlling and observing jobs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::JobId;
use protocol::api::{Job, MetricPoint, Round};
use protocol::job::JobSpec;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::job_check::{Checked, checked};
use crate::clock;
use crate::driver::{DriverError, JobAction};
use crate::http::api::explain::explained;
use crate::http::auth::extractors::{Admin, Viewer};
use crate::http::extract::{Archived, InPath, InQuery, JobBody};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::views::{JobView, metric_points};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(complete))
        .routes(routes!(rounds))
        .routes(routes!(metrics))
}

/// Returns every job that is not archived, the oldest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", security(("token" = ["viewer", "admin"])), params(Archived),
    responses((status = 200, body = Vec<Job>)))]
async fn list(
    _: Viewer,
    State(shared): State<ApiState>,
    InQuery(asked): InQuery<Archived>,
) -> Json<Vec<Job>> {
    let jobs = shared.views.jobs();
    let jobs = jobs.iter().filter(|view| view.job.archived == asked.archived);
    Json(jobs.map(|view| view.job.clone()).collect())
}

/// Checks a job and stores it. `POST /jobs/{id}/start` starts it. A field that a job does not have is an
/// error. Three names of the earlier system are read too: `total_epochs` (rounds), `model_name` (preset) and
/// `config` (`batch_size`, `learning_rate`, `local_epochs`, or the `config` that a job's answer has).
#[utoipa::path(post, path = "/jobs", tag = "jobs", security(("token" = ["admin"])), request_body = JobSpec,
    responses((status = 201, body = Job)))]
async fn create(
    admin: Admin,
    State(shared): State<ApiState>,
    JobBody(spec): JobBody,
) -> ApiResult<(StatusCode, Json<Job>)> {
    let Checked { spec, .. } = checked(&shared, spec).await?;
    Ok((StatusCode::CREATED, Json(shared.driver.audited(&admin.0).create_job(spec).await?)))
}

/// Returns one job, with an explanation of its current state.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", security(("token" = ["viewer", "admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
async fn show(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    let view = view(&shared, id)?;
    let views = shared.views.clone();
    // The explanation visits every device, so it runs on a thread of its own.
    let explain = move || explained(&views, &view, clock::now());
    let job = tokio::task::spawn_blocking(explain).await;
    Ok(Json(job.map_err(|error| ApiError::internal(error.to_string()))?))
}

/// Returns the job's view, or an error if there is no such job.
pub(crate) fn view(shared: &ApiState, id: JobId) -> Result<std::sync::Arc<JobView>, ApiError> {
    shared.views.job(id).ok_or_else(|| DriverError::UnknownJob(id).into())
}

/// Starts a job: downloads and divides its dataset, then opens its first round.
#[utoipa::path(post, path = "/jobs/{id}/start", tag = "jobs", security(("token" = ["admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
async fn start(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).command_job(id, JobAction::Start).await?))
}

/// Ends the leases of a job and grants none until it is resumed.
#[utoipa::path(post, path = "/jobs/{id}/pause", tag = "jobs", security(("token" = ["admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
async fn pause(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).command_job(id, JobAction::Pause).await?))
}

/// Resumes a paused job.
#[utoipa::path(post, path = "/jobs/{id}/resume", tag = "jobs", security(("token" = ["admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
async fn resume(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).command_job(id, JobAction::Resume).await?))
}

/// Cancels a job. Only its history is kept.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "jobs", security(("token" = ["admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
async fn cancel(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).command_job(id, JobAction::Cancel).await?))
}

/// Completes a job now and registers its current model.
#[utoipa::path(post, path = "/jobs/{id}/complete", tag = "jobs", security(("token" = ["admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
async fn complete(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).command_job(id, JobAction::Complete).await?))
}

/// Returns a job's rounds: the closed ones and, last, the open one.
#[utoipa::path(get, path = "/jobs/{id}/rounds", tag = "jobs", security(("token" = ["viewer", "admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Vec<Round>)))]
async fn rounds(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Vec<Round>>> {
    Ok(Json(view(&shared, id)?.rounds().cloned().collect()))
}

/// Returns a job's metrics: one point for each closed round and metric.
#[utoipa::path(get, path = "/jobs/{id}/metrics", tag = "jobs", security(("token" = ["viewer", "admin"])), params(("id" = JobId, Path)),
    responses((status = 200, body = Vec<MetricPoint>)))]
async fn metrics(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Vec<MetricPoint>>> {
    Ok(Json(metric_points(view(&shared, id)?.rounds())))
}
