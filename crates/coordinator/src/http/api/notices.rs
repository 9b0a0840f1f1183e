//! `/notices`: notices for administrators.

use axum::Json;
use axum::extract::State;
use protocol::NoticeId;
use protocol::notice::Notice;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::extractors::{Admin, Viewer};
use crate::http::extract::{InPath, InQuery};
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(dismiss))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Also return notices that have ended or were dismissed.
    #[serde(default)]
    all: bool,
}

/// Returns the active notices, the newest first. `all` also returns ended and dismissed ones. The newest
/// 1,000 are kept.
#[utoipa::path(get, path = "/notices", tag = "notices", security(("token" = ["viewer", "admin"])), params(Filter),
    responses((status = 200, body = Vec<Notice>)))]
async fn list(
    _: Viewer,
    State(shared): State<ApiState>,
    InQuery(filter): InQuery<Filter>,
) -> Json<Vec<Notice>> {
    let mut notices = shared.views.notices();
    notices.retain(|notice| {
        filter.all || (notice.ended_at.is_none() && notice.dismissed_at.is_none())
    });
    notices.reverse();
    Json(notices)
}

/// Dismisses a notice.
#[utoipa::path(post, path = "/notices/{id}/dismiss", tag = "notices", security(("token" = ["admin"])),
    params(("id" = NoticeId, Path)), responses((status = 200, body = Notice)))]
async fn dismiss(
    Admin(caller): Admin,
    State(shared): State<ApiState>,
    InPath(id): InPath<NoticeId>,
) -> ApiResult<Json<Notice>> {
    Ok(Json(shared.driver.audited(&caller).dismiss_notice(id).await?))
}
