//! `/usage`: compute contributed by the devices.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use protocol::usage::Usage;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock;
use crate::http::api::usage_report::{DAYS, usage};
use crate::http::auth::extractors::Viewer;
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Returns the compute that all devices contributed, today and by day, and their current speed. Energy is
/// estimated from typical watts for each type of device.
#[utoipa::path(get, path = "/usage", tag = "status", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = Usage)))]
async fn show(_: Viewer, State(shared): State<ApiState>) -> ApiResult<Json<Usage>> {
    let now = clock::now();
    let from = clock::date(now.before(Duration::from_hours(24 * u64::from(DAYS))));
    let rows = shared.read(move |reader| reader.days(&from)).await?;
    Ok(Json(usage(&shared.views, &rows, now)))
}
