//! `/models/{name}`: archiving and deleting a model or a version.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::api::Model;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::models::{Version, find};
use crate::http::auth::extractors::Admin;
use crate::http::extract::{InPath, InQuery};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(delete))
        .routes(routes!(delete_version))
        .routes(routes!(archive))
        .routes(routes!(unarchive))
}

/// Deletes a model with all its versions, or the version that `version` or `NAME@N` names.
///
/// Jobs keep their results. Fails with 409 if a version to delete has a stage. The numbers of deleted versions
/// are not used again.
#[utoipa::path(delete, path = "/models/{name}", operation_id = "delete_model", tag = "models", security(("token" = ["admin"])),
    params(("name" = String, Path), Version), responses((status = 204, description = "The versions are deleted")))]
async fn delete(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
) -> ApiResult<StatusCode> {
    let model = find(&shared, name.clone(), version.version).await?.model;
    // The model that is named `name` itself, or a version of a shorter name.
    let is_one = version.version.is_some() || model.name != name;
    let version = is_one.then_some(model.version);
    shared.driver.audited(&admin.0).delete_model(model.name, version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes one version of a model.
#[utoipa::path(delete, path = "/models/{name}/versions/{version}", operation_id = "delete_model_version", tag = "models",
    security(("token" = ["admin"])), params(("name" = String, Path), ("version" = u32, Path)),
    responses((status = 204, description = "The version is deleted")))]
async fn delete_version(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath((name, version)): InPath<(String, u32)>,
) -> ApiResult<StatusCode> {
    let model = find(&shared, name.clone(), Some(version)).await?.model;
    if model.name != name {
        let words = format!("there is no model '{name}'");
        return Err(ApiError::not_found("unknown-model", words));
    }
    shared.driver.audited(&admin.0).delete_model(name, Some(version)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hides a model, with all its versions, from lists. Its files can still be downloaded.
///
/// A newly registered version shows it again.
#[utoipa::path(post, path = "/models/{name}/archive", operation_id = "archive_model", tag = "models", security(("token" = ["admin"])),
    params(("name" = String, Path)), responses((status = 200, body = Model)))]
async fn archive(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
) -> ApiResult<Json<Model>> {
    Ok(Json(shared.driver.audited(&admin.0).archive_model(name, true).await?))
}

/// Shows an archived model in lists again.
#[utoipa::path(post, path = "/models/{name}/unarchive", operation_id = "unarchive_model", tag = "models", security(("token" = ["admin"])),
    params(("name" = String, Path)), responses((status = 200, body = Model)))]
async fn unarchive(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
) -> ApiResult<Json<Model>> {
    Ok(Json(shared.driver.audited(&admin.0).archive_model(name, false).await?))
}
