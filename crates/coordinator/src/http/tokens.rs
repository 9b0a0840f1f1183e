//! `/tokens`: credentials of people and of programs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::api::{CreatedToken, Role, Token, TokenRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Admin;
use super::extract::{Body, InPath};
use super::problem::{Answer, Failure};
use super::texts::check_text;
use crate::store::Reader;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// Every token but those of devices; never the secret itself.
#[utoipa::path(get, path = "/tokens", tag = "tokens", security(("token" = ["admin"])), responses((status = 200, body = Vec<Token>)))]
async fn list(_: Admin, State(shared): State<Shared>) -> Answer<Json<Vec<Token>>> {
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

/// Makes a token. It is shown this once.
#[utoipa::path(post, path = "/tokens", tag = "tokens", security(("token" = ["admin"])), request_body = TokenRequest,
    responses((status = 201, body = CreatedToken)))]
async fn create(
    admin: Admin,
    State(shared): State<Shared>,
    Body(request): Body<TokenRequest>,
) -> Answer<(StatusCode, Json<CreatedToken>)> {
    if request.role == Role::Device {
        let words = "a device gets its token when it registers; choose admin or viewer";
        return Err(Failure::invalid("invalid-token", words).at("role"));
    }
    check_text("invalid-token", "name", &request.name, 100)?;
    Ok((StatusCode::CREATED, Json(shared.driver.by(&admin.0).create_token(request).await?)))
}

/// Ends a token, at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", security(("token" = ["admin"])), params(("id" = String, Path)),
    responses((status = 204, description = "It no longer counts")))]
async fn delete(
    admin: Admin,
    State(shared): State<Shared>,
    InPath(id): InPath<String>,
) -> Answer<StatusCode> {
    shared.driver.by(&admin.0).delete_token(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
