//! `/events`: what changed, as soon as something does.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use protocol::api::Events;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Viewer;
use super::devices::LONGEST_WAIT;
use super::extract::InQuery;
use super::problem::Answer;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// The revision of the last answer; 0 for everything that is remembered.
    #[serde(default)]
    after: u64,
    /// Seconds to wait for a change; at most 60.
    #[serde(default)]
    wait: u64,
}

/// What changed after a revision, within `wait`; nothing where nothing did.
#[utoipa::path(get, path = "/events", tag = "events", security(("token" = ["viewer", "admin"])), params(Since),
    responses((status = 200, body = Events)))]
async fn events(
    _: Viewer,
    State(shared): State<Shared>,
    InQuery(since): InQuery<Since>,
) -> Answer<Json<Events>> {
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
