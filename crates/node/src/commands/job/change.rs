//! `constellation job delete`, `archive`, `unarchive` and `rename`.

use clap::Subcommand;
use protocol::api::{Job, NameChange};
use serde_json::json;

use super::request::{act, find, print_job};
use crate::client::Client;
use crate::commands::confirm::confirm;
use crate::output;

#[derive(Debug, Subcommand)]
pub(super) enum JobChange {
    /// Delete an ended job with its rounds and lease records; registered models stay
    Delete {
        /// Name or id of the job, or a unique start of either
        job: String,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Hide an ended job from lists
    Archive {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Show an archived job again
    Unarchive {
        /// Name or id of the job, or a unique start of either
        job: String,
    },
    /// Rename a job; its models keep their names
    Rename {
        /// Name or id of the job, or a unique start of either
        job: String,
        /// New name
        name: String,
    },
}

pub(super) async fn run(client: &Client, change: JobChange, json: bool) -> anyhow::Result<()> {
    match change {
        JobChange::Delete { job, yes } => {
            let id = find(client, &job).await?;
            let path = format!("/jobs/{id}");
            let job: Job = client.get(&path).await?;
            let consequence = format!(
                "This deletes job '{}' with its rounds and lease records. Registered models stay.",
                job.name
            );
            confirm(yes, &consequence)?;
            client.delete(&path).await?;
            if json {
                return Ok(output::json(&json!({ "deleted": id }))?);
            }
            Ok(output::line(format_args!("deleted job {id} '{}'", job.name))?)
        }
        JobChange::Archive { job } => act(client, &job, "archive", json).await,
        JobChange::Unarchive { job } => act(client, &job, "unarchive", json).await,
        JobChange::Rename { job, name } => {
            let id = find(client, &job).await?;
            let job: Job = client.patch(&format!("/jobs/{id}"), &NameChange { name }).await?;
            print_job(&job, json)
        }
    }
}
