//! `/jobs/{id}`: renaming, archiving and deleting a job.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::JobId;
use protocol::api::{Job, NameChange};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::extractors::Admin;
use crate::http::extract::{Body, InPath};
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;
use crate::http::texts::line;

/// Maximum length of a name, as in a job's settings.
const LONGEST_NAME: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(rename))
        .routes(routes!(delete))
        .routes(routes!(archive))
        .routes(routes!(unarchive))
}

/// Renames a job.
///
/// Its settings, its dataset and its models keep their names.
#[utoipa::path(patch, path = "/jobs/{id}", operation_id = "rename_job", tag = "jobs", security(("token" = ["admin"])),
    params(("id" = JobId, Path)), request_body = NameChange, responses((status = 200, body = Job)))]
async fn rename(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
    Body(asked): Body<NameChange>,
) -> ApiResult<Json<Job>> {
    let name = line("invalid-job", "name", &asked.name, LONGEST_NAME)?;
    Ok(Json(shared.driver.audited(&admin.0).rename_job(id, name).await?))
}

/// Deletes an ended job, with its rounds, their models and its lease records.
///
/// Registered models, the daily totals and the audit log stay. Fails with 409 if the job has not ended.
#[utoipa::path(delete, path = "/jobs/{id}", operation_id = "delete_job", tag = "jobs", security(("token" = ["admin"])),
    params(("id" = JobId, Path)), responses((status = 204, description = "The job is deleted")))]
async fn delete(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<StatusCode> {
    shared.driver.audited(&admin.0).delete_job(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hides an ended job from lists. Nothing is deleted.
#[utoipa::path(post, path = "/jobs/{id}/archive", operation_id = "archive_job", tag = "jobs", security(("token" = ["admin"])),
    params(("id" = JobId, Path)), responses((status = 200, body = Job)))]
async fn archive(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).archive_job(id, true).await?))
}

/// Shows an archived job in lists again.
#[utoipa::path(post, path = "/jobs/{id}/unarchive", operation_id = "unarchive_job", tag = "jobs", security(("token" = ["admin"])),
    params(("id" = JobId, Path)), responses((status = 200, body = Job)))]
async fn unarchive(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(shared.driver.audited(&admin.0).archive_job(id, false).await?))
}
