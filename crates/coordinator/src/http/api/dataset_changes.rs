//! `/datasets/{name}`: renaming, archiving and deleting an uploaded dataset or a version.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use data::is_reserved;
use protocol::api::NameChange;
use protocol::dataset::DatasetEntry;
use protocol::split_version;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dataset::unknown;
use super::dataset_problems::check_name;
use super::datasets::entry;
use crate::http::auth::extractors::Admin;
use crate::http::extract::{Body, InPath};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(rename))
        .routes(routes!(delete))
        .routes(routes!(delete_version))
        .routes(routes!(archive))
        .routes(routes!(unarchive))
}

/// Renames an uploaded dataset, with all its versions.
///
/// Its jobs and models show the new name. The settings of a job keep the name that it was created with.
#[utoipa::path(patch, path = "/datasets/{name}", operation_id = "rename_dataset", tag = "datasets", security(("token" = ["admin"])),
    params(("name" = String, Path)), request_body = NameChange, responses((status = 200, body = DatasetEntry)))]
async fn rename(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    Body(asked): Body<NameChange>,
) -> ApiResult<Json<DatasetEntry>> {
    refuse_built_in(&name)?;
    check_name(&shared, &asked.name, false)?;
    shared.driver.audited(&admin.0).rename_dataset(name, asked.name.clone()).await?;
    shown(&shared, &asked.name)
}

/// Deletes an uploaded dataset with all its versions, or the version that `NAME@N` names.
///
/// Ended jobs and models keep their results and the version's name. Fails with 409 while a job uses a version
/// and has not ended. The numbers of deleted versions are not used again.
#[utoipa::path(delete, path = "/datasets/{name}", operation_id = "delete_dataset", tag = "datasets", security(("token" = ["admin"])),
    params(("name" = String, Path)), responses((status = 204, description = "The versions are deleted")))]
async fn delete(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
) -> ApiResult<StatusCode> {
    let (name, version) = split_version(&name);
    refuse_built_in(name)?;
    shared.driver.audited(&admin.0).delete_dataset(name.to_owned(), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes one version of an uploaded dataset.
#[utoipa::path(delete, path = "/datasets/{name}/versions/{version}", operation_id = "delete_dataset_version", tag = "datasets",
    security(("token" = ["admin"])), params(("name" = String, Path), ("version" = u32, Path)),
    responses((status = 204, description = "The version is deleted")))]
async fn delete_version(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath((name, version)): InPath<(String, u32)>,
) -> ApiResult<StatusCode> {
    refuse_built_in(&name)?;
    shared.driver.audited(&admin.0).delete_dataset(name, Some(version)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hides an uploaded dataset from lists and refuses new jobs on it. Its jobs go on.
#[utoipa::path(post, path = "/datasets/{name}/archive", operation_id = "archive_dataset", tag = "datasets", security(("token" = ["admin"])),
    params(("name" = String, Path)), responses((status = 200, body = DatasetEntry)))]
async fn archive(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
) -> ApiResult<Json<DatasetEntry>> {
    set_archived(&admin, &shared, name, true).await
}

/// Shows an archived dataset in lists again, and allows new jobs on it.
#[utoipa::path(post, path = "/datasets/{name}/unarchive", operation_id = "unarchive_dataset", tag = "datasets", security(("token" = ["admin"])),
    params(("name" = String, Path)), responses((status = 200, body = DatasetEntry)))]
async fn unarchive(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
) -> ApiResult<Json<DatasetEntry>> {
    set_archived(&admin, &shared, name, false).await
}

async fn set_archived(
    admin: &Admin,
    shared: &ApiState,
    name: String,
    hide: bool,
) -> ApiResult<Json<DatasetEntry>> {
    refuse_built_in(&name)?;
    shared.driver.audited(&admin.0).archive_dataset(name.clone(), hide).await?;
    shown(shared, &name)
}

fn shown(shared: &ApiState, name: &str) -> ApiResult<Json<DatasetEntry>> {
    let known = shared.datasets.find(name).ok_or_else(|| unknown(name))?;
    Ok(Json(entry(known)))
}

fn refuse_built_in(name: &str) -> ApiResult<()> {
    if is_reserved(name) {
        let words = format!(
            "'{name}' is a built-in dataset; only uploaded datasets can be renamed, archived and deleted"
        );
        return Err(ApiError::conflict("built-in-dataset", words));
    }
    Ok(())
}
