//! `/settings`: settings of the running coordinator.

use axum::Json;
use axum::extract::State;
use protocol::setting::Setting;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::extractors::Viewer;
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Returns every setting of the coordinator and its source, without secrets. Changes take effect after a
/// restart.
#[utoipa::path(get, path = "/settings", tag = "status", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = Vec<Setting>)))]
async fn list(_: Viewer, State(shared): State<ApiState>) -> Json<Vec<Setting>> {
    Json(shared.settings.clone())
}
