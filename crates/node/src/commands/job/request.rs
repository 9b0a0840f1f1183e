//! Actions on a job, and the line that shows the result.

use protocol::JobId;
use protocol::api::Job;

use crate::client::{Client, ClientError};
use crate::output;

/// Sends an action to a job; returns the updated job.
pub(crate) async fn change_job(
    client: &Client,
    id: JobId,
    action: &str,
) -> Result<Job, ClientError> {
    client.post(&format!("/jobs/{id}/{action}"), &serde_json::json!({})).await
}

pub(super) fn print_job(job: &Job, json: bool) -> anyhow::Result<()> {
    if json {
        output::json(job)?;
    } else {
        output::line(format_args!("job {} '{}' is {}", job.id, job.name, job.status.name()))?;
    }
    Ok(())
}
