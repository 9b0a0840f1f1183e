//! `/tokens`: credentials of people and programs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::api::{CreatedToken, Role, Token, TokenRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::extractors::Admin;
use crate::http::extract::{Body, InPath};
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::http::texts::check_text;
use crate::store::Reader;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// Lists all tokens except those of devices, without secrets.
#[utoipa::path(get, path = "/tokens", tag = "tokens", security(("token" = ["admin"])), responses((status = 200, body = Vec<Token>)))]
async fn list(_: Admin, State(shared): State<ApiState>) -> ApiResult<Json<Vec<Token>>> {
    let rows = shared.read(Reader::tokens).await?;
    let tokens = rows.into_iter().map(|row| Token {
        id: row.id,
        role: row.role,
        name: row.name,
        created_at: row.created_at,
        last_used: row.last_used,
        expires_at: row.expires_at,
    });
    Ok(Json(tokens.collect()))
}

/// Creates a token.
///
/// Its secret is never shown again.
#[utoipa::path(post, path = "/tokens", tag = "tokens", security(("token" = ["admin"])), request_body = TokenRequest,
    responses((status = 201, body = CreatedToken)))]
async fn create(
    admin: Admin,
    State(shared): State<ApiState>,
    Body(request): Body<TokenRequest>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    if request.role == Role::Device {
        let words = "must be admin or viewer; devices get tokens when they register";
        return Err(ApiError::invalid("invalid-token", words).at("role"));
    }
    check_text("invalid-token", "name", &request.name, 100)?;
    Ok((StatusCode::CREATED, Json(shared.driver.audited(&admin.0).create_token(request).await?)))
}

/// Revokes a token at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", security(("token" = ["admin"])), params(("id" = String, Path)),
    responses((status = 204, description = "The token is no longer valid")))]
async fn delete(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<String>,
) -> ApiResult<StatusCode> {
    shared.driver.audited(&admin.0).delete_token(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
