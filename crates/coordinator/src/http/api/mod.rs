//! Resources of the API: one file each, with its paths and handlers.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod blobs;
pub(crate) mod dataset;
pub(crate) mod dataset_changes;
pub(crate) mod dataset_import;
mod dataset_problems;
pub(crate) mod dataset_uploads;
pub(crate) mod datasets;
pub(crate) mod device;
pub(crate) mod devices;
pub(crate) mod downloads;
pub(crate) mod enroll;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod job_changes;
pub(crate) mod job_check;
pub(crate) mod job_history;
pub(crate) mod job_log;
pub(crate) mod jobs;
pub(crate) mod join_codes;
pub(crate) mod leases;
pub(crate) mod metrics;
pub(crate) mod model_changes;
pub(crate) mod models;
pub(crate) mod notices;
pub(crate) mod predict;
pub(crate) mod profile;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod usage_report;
pub(crate) mod webhooks;

use utoipa_axum::router::OpenApiRouter;

use super::state::ApiState;

/// Routes of every resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(audit::routes())
        .merge(backup::routes())
        .merge(blobs::routes())
        .merge(dataset::routes())
        .merge(dataset_changes::routes())
        .merge(dataset_import::routes())
        .merge(dataset_uploads::routes())
        .merge(datasets::routes())
        .merge(device::routes())
        .merge(devices::routes())
        .merge(downloads::routes())
        .merge(enroll::routes())
        .merge(events::routes())
        .merge(job_changes::routes())
        .merge(job_check::routes())
        .merge(job_history::routes())
        .merge(jobs::routes())
        .merge(join_codes::routes())
        .merge(leases::routes())
        .merge(metrics::routes())
        .merge(model_changes::routes())
        .merge(models::routes())
        .merge(notices::routes())
        .merge(predict::routes())
        .merge(profile::routes())
        .merge(sessions::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(usage::routes())
        .merge(webhooks::routes())
}
