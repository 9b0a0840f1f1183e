//! `/jobs/{id}/leases` and `/jobs/{id}/log`: the history of a job.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use protocol::api::LogEntry;
use protocol::audit::SubjectKind;
use protocol::lease::LeaseRecord;
use protocol::{JobId, LeaseId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::jobs::view;
use crate::clock;
use crate::driver::LEASES_KEPT;
use crate::http::api::job_log::{Known, log};
use crate::http::auth::extractors::Viewer;
use crate::http::extract::{InPath, InQuery};
use crate::http::problem::ApiResult;
use crate::http::state::ApiState;
use crate::store::{LeaseRow, MOST_LEASES};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(leases)).routes(routes!(show_log))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Return only leases that were granted or ended at this time or later. Leases of that millisecond may be
    /// returned again.
    after: Option<Timestamp>,
}

/// Returns the newest 2,000 leases of a job in the last 30 days, sorted from old to new.
#[utoipa::path(get, path = "/jobs/{id}/leases", tag = "jobs", security(("token" = ["viewer", "admin"])),
    params(("id" = JobId, Path), Since), responses((status = 200, body = Vec<LeaseRecord>)))]
async fn leases(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
    InQuery(since): InQuery<Since>,
) -> ApiResult<Json<Vec<LeaseRecord>>> {
    view(&shared, id)?;
    let after = since.after.unwrap_or(Timestamp::from_millis(i64::MIN));
    Ok(Json(lease_records(&shared, id, after).await?))
}

/// Adds the held leases to those that the database has, which are the ended ones, and keeps the newest
/// `most` that were granted since `oldest` and granted or ended at `after` or later. The stored rows
/// are read after `held`, so that a lease that ends meanwhile is in one of them.
pub(crate) fn with_held(
    stored: Vec<LeaseRow>,
    mut held: HashMap<LeaseId, LeaseRow>,
    [oldest, after]: [Timestamp; 2],
    most: u64,
) -> Vec<LeaseRow> {
    let mut rows = stored;
    for row in &mut rows {
        // A lease that lapsed and was renewed. The database has the steps of ended leases only.
        if let Some(held) = held.remove(&row.record.id)
            && row.record.ended_at.is_none()
        {
            row.record.steps = held.record.steps;
        }
    }
    rows.extend(held.into_values().filter(|row| row.record.granted_at >= oldest.max(after)));
    rows.sort_by_key(|row| (row.record.granted_at, row.record.id));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    rows.split_off(rows.len().saturating_sub(most))
}

/// Returns the log of a job, the oldest entry first: who created and started it, its rounds, its lost
/// leases, and its end.
#[utoipa::path(get, path = "/jobs/{id}/log", operation_id = "tell", tag = "jobs", security(("token" = ["viewer", "admin"])),
    params(("id" = JobId, Path)), responses((status = 200, body = Vec<LogEntry>)))]
async fn show_log(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(id): InPath<JobId>,
) -> ApiResult<Json<Vec<LogEntry>>> {
    let view = view(&shared, id)?;
    let leases = lease_records(&shared, id, Timestamp::from_millis(i64::MIN)).await?;
    let subject = id.to_string();
    let entries = shared.read(move |reader| reader.audit_of(SubjectKind::Job, &subject)).await?;
    let notices = shared.views.notices();
    Ok(Json(log(&Known { view: &view, entries: &entries, leases: &leases, notices: &notices })))
}

/// Reads the job's lease records, with the devices' current names.
async fn lease_records(
    shared: &ApiState,
    id: JobId,
    after: Timestamp,
) -> ApiResult<Vec<LeaseRecord>> {
    let oldest = clock::now().before(LEASES_KEPT);
    let held = shared.driver.held_leases(move |row| row.job == id).await?;
    let stored = shared.read(move |reader| reader.leases(id, oldest, after)).await?;
    let rows = with_held(stored, held, [oldest, after], MOST_LEASES);
    let mut records: Vec<LeaseRecord> = rows.into_iter().map(|row| row.record).collect();
    for record in &mut records {
        if let Some(name) = shared.views.device_name(record.device) {
            record.device_name = name;
        }
    }
    Ok(records)
}
