//! `/audit`: the audit log.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use protocol::audit::{Entry, Head};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::auth::extractors::Admin;
use crate::http::extract::InQuery;
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;
use crate::store::{MOST_ENTRIES, Reader};

/// Default number of entries in an answer.
const DEFAULT_ENTRIES: u64 = 100;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(head)).routes(routes!(export))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Return entries after this number; 0 starts at the beginning.
    #[serde(default)]
    after: u64,
    /// Maximum number of entries, up to 1,000. Default: 100.
    limit: Option<u64>,
}

/// Returns entries of the audit log, the oldest first.
#[utoipa::path(get, path = "/audit", tag = "audit", security(("token" = ["admin"])), params(Page),
    responses((status = 200, body = Vec<Entry>)))]
async fn list(
    _: Admin,
    State(shared): State<ApiState>,
    InQuery(page): InQuery<Page>,
) -> ApiResult<Json<Vec<Entry>>> {
    let limit = page.limit.unwrap_or(DEFAULT_ENTRIES);
    Ok(Json(shared.read(move |reader| reader.audit(page.after, limit)).await?))
}

/// Returns the number and hash of the newest entry. A copy kept elsewhere proves later that no earlier
/// entry was changed.
#[utoipa::path(get, path = "/audit/head", tag = "audit", security(("token" = ["admin"])), responses((status = 200, body = Head)))]
async fn head(_: Admin, State(shared): State<ApiState>) -> ApiResult<Json<Head>> {
    Ok(Json(shared.read(Reader::audit_head).await?))
}

/// Exports the whole audit log as JSON lines, one entry per line.
#[utoipa::path(get, path = "/audit/export", tag = "audit", security(("token" = ["admin"])),
    responses((status = 200, content_type = "application/jsonl", body = String)))]
async fn export(_: Admin, State(shared): State<ApiState>) -> ApiResult<Response> {
    // Read the first page before the answer starts, so that an error becomes a problem answer.
    let first = lines(&shared, 0).await?;
    let rest = stream::try_unfold((shared, first), |(shared, page)| async move {
        let Some((text, last)) = page else { return Ok(None) };
        // An error here aborts the answer, so that a partial log does not look complete.
        let next = lines(&shared, last).await;
        let next = next.map_err(|error| io::Error::other(error.problem.detail))?;
        Ok::<_, io::Error>(Some((text, (shared, next))))
    });
    let kind = [(header::CONTENT_TYPE, "application/jsonl")];
    Ok((kind, Body::from_stream(rest)).into_response())
}

/// Returns a page of lines after number `after` and the number of the last one, or `None` at the end.
async fn lines(shared: &ApiState, after: u64) -> ApiResult<Option<(Bytes, u64)>> {
    let entries = shared.read(move |reader| reader.audit(after, MOST_ENTRIES)).await?;
    let Some(last) = entries.last().map(|entry| entry.number) else { return Ok(None) };
    let mut text = Vec::new();
    for entry in &entries {
        serde_json::to_writer(&mut text, entry).map_err(io::Error::from)?;
        text.push(b'\n');
    }
    Ok(Some((text.into(), last)))
}
