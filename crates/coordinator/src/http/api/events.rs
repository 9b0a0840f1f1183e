//! `/events`: long poll for changes.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use protocol::api::Events;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::devices::LONGEST_WAIT;
use crate::http::auth::extractors::Viewer;
use crate::http::extract::InQuery;
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Return changes after this revision, taken from the last answer; 0 returns all stored changes.
    #[serde(default)]
    after: u64,
    /// Maximum time to wait for a change, in seconds, up to 60.
    #[serde(default)]
    wait: u64,
}

/// Returns the changes after a revision. Waits up to `wait` seconds for one.
#[utoipa::path(get, path = "/events", tag = "events", security(("token" = ["viewer", "admin"])), params(Since),
    responses((status = 200, body = Events)))]
async fn events(
    _: Viewer,
    State(shared): State<ApiState>,
    InQuery(since): InQuery<Since>,
) -> ApiResult<Json<Events>> {
    let deadline = Instant::now() + Duration::from_secs(since.wait.min(LONGEST_WAIT));
    let mut revision = shared.revision.clone();
    loop {
        // Read before the database: a change in between ends the wait at once.
        let published = *revision.borrow_and_update();
        let events = shared.read(move |reader| reader.events(since.after, published)).await?;
        if events.reset || !events.changes.is_empty() {
            return Ok(Json(events));
        }
        tokio::select! {
            changed = timeout_at(deadline, revision.changed()) => match changed {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(Json(events)),
            },
            () = shared.stopping.cancelled() => return Ok(Json(events)),
        }
    }
}
