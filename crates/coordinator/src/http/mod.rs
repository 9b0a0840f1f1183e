//! HTTP: the API and the dashboard's files, by one router for every transport.

pub(crate) mod api;
pub(crate) mod auth;
pub(crate) mod extract;
pub(crate) mod files;
mod openapi;
pub(crate) mod pages;
pub(crate) mod problem;
pub(crate) mod server;
pub(crate) mod state;
pub(crate) mod texts;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::{Json, Router};
use protocol::PROTOCOL_VERSION;
use protocol::api::Health;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use extract::MOST_JSON;
use problem::ApiError;
use server::envelope::{Authenticate, Envelope};
use server::headers;
use state::ApiState;

/// Returns the router with all paths and shared layers.
pub(crate) fn router(shared: ApiState) -> Router {
    let routes = OpenApiRouter::with_openapi(openapi::Documentation::openapi())
        .routes(routes!(health))
        .merge(api::routes())
        .merge(pages::routes());
    let (routes, mut document) = routes.split_for_parts();
    openapi::complete(&mut document, &shared.cookie);
    let served = routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .route_layer(Authenticate(shared.clone()))
        .fallback(unknown_path)
        .layer((Envelope(shared.clone()), DefaultBodyLimit::max(MOST_JSON)));
    headers::allow(served, &shared.origins).with_state(shared)
}

/// Returns the coordinator's status and version.
#[utoipa::path(get, path = "/health", tag = "status", responses((status = 200, body = Health)))]
async fn health(State(shared): State<ApiState>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL_VERSION,
        name: shared.cluster.name.clone(),
    })
}

async fn unknown_path(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::not_found(
        "unknown-path",
        format!("there is nothing at {path}; /docs lists all paths"),
    )
}
