//! Actions on a job, and the line that shows the result.

use protocol::JobId;
use protocol::api::Job;

use crate::client::{Client, ClientError};
use crate::commands::lookup::typed_id_of;
use crate::output;

/// Returns the id of the job that `job` means: a name, an id, or a unique start of either.
pub(super) async fn find(client: &Client, job: &str) -> anyhow::Result<JobId> {
    typed_id_of::<Job, JobId>(client, job).await
}

/// Sends an action to the job that `job` means, and prints the updated job.
pub(super) async fn act(
    client: &Client,
    job: &str,
    action: &str,
    json: bool,
) -> anyhow::Result<()> {
    let id = find(client, job).await?;
    print_job(&change_job(client, id, action).await?, json)
}

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
