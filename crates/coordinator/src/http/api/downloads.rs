//! `/downloads`: tickets for browser downloads, which send no header.
//!
//! A ticket opens one path, once, within a minute, with the role of its creator. Browsers write the
//! file directly to disk, so its size doesn't matter.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::uri::PathAndQuery;
use axum::{Extension, Json};
use protocol::session::{Download, DownloadRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::credential::Credential;
use crate::clock;
use crate::http::auth::extractors::Viewer;
use crate::http::auth::tickets::{TICKET, TICKET_LIFETIME};
use crate::http::extract::Body;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

const LONGEST_PATH: usize = 2000;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Creates a download URL that a browser can open without a header.
///
/// It works once, within a minute, with the role of the caller. Supported paths: `/backup`,
/// `/audit/export`, `/metrics`, and a model's `download` and `card`.
#[utoipa::path(post, path = "/downloads", tag = "downloads", request_body = DownloadRequest,
    security(("token" = ["viewer", "admin"])), responses((status = 201, body = Download)))]
async fn create(
    _: Viewer,
    credential: Option<Extension<Arc<Credential>>>,
    State(shared): State<ApiState>,
    Body(DownloadRequest { path }): Body<DownloadRequest>,
) -> ApiResult<(StatusCode, Json<Download>)> {
    if path.len() > LONGEST_PATH || !path.parse().is_ok_and(|path| is_download(&path)) {
        let words = "is no download: /backup, /audit/export, /metrics, /models/NAME/download and \
                     /models/NAME/card are";
        return Err(ApiError::invalid("invalid-download", words).at("path"));
    }
    let Some(Extension(credential)) = credential else {
        let words = "this window needs no ticket; ask for the path itself";
        return Err(ApiError::conflict("no-ticket-needed", words));
    };
    let now = clock::now();
    let ticket = shared.tickets.create(&path, credential, now);
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{joint}{TICKET}{ticket}");
    Ok((StatusCode::CREATED, Json(Download { path, expires_at: now.after(TICKET_LIFETIME) })))
}

fn is_download(path: &PathAndQuery) -> bool {
    let parts: Vec<&str> = path.path().split('/').collect();
    matches!(
        parts.as_slice(),
        ["", "backup" | "metrics"]
            | ["", "audit", "export"]
            | ["", "models", _, "download" | "card"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_downloads_have_tickets() {
        let is = |path: &str| path.parse().is_ok_and(|path| is_download(&path));
        for path in ["/backup", "/metrics", "/audit/export", "/models/a%2Fb/card?version=1"] {
            assert!(is(path), "{path}");
        }
        for path in
            ["", "/", "backup", "/tokens", "/backup/x", "/models/a", "/blobs/a", "/a b", "*"]
        {
            assert!(!is(path), "{path}");
        }
    }
}
