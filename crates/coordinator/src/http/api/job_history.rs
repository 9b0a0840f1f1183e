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
    let mut records = lease_records(&shared, id, after).await?;
    let held = shared.driver.held_steps(move |row| row.job == id).await?;
    for record in &mut records {
        show_steps(record, &held);
    }
    Ok(Json(records))
}

/// Sets the current steps of a held lease. The database has only the steps of ended leases.
pub(crate) fn show_steps(record: &mut LeaseRecord, held: &HashMap<LeaseId, u64>) {
    if let Some(steps) = held.get(&record.id).filter(|_| record.ended_at.is_none()) {
        record.steps = *steps;
    }
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
    let mut records = shared.read(move |reader| reader.leases(id, oldest, after)).await?;
    for record in &mut records {
        if let Some(name) = shared.views.device_name(record.device) {
            record.device_name = name;
        }
    }
    Ok(records)
}
