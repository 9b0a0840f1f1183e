//! `constellation job delete`, `archive`, `unarchive` and `rename`.

use clap::Subcommand;
use protocol::JobId;
use protocol::api::{Job, NameChange};
use serde_json::json;

use super::request::{change_job, print_job};
use crate::client::Client;
use crate::commands::confirm::confirm;
use crate::output;

#[derive(Debug, Subcommand)]
pub(super) enum JobChange {
    /// Delete an ended job with its rounds and lease records; registered models stay
    Delete {
        id: JobId,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Hide an ended job from lists
    Archive { id: JobId },
    /// Show an archived job again
    Unarchive { id: JobId },
    /// Rename a job; its models keep their names
    Rename {
        id: JobId,
        /// New name
        name: String,
    },
}

pub(super) async fn run(client: &Client, change: JobChange, json: bool) -> anyhow::Result<()> {
    match change {
        JobChange::Delete { id, yes } => {
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
        JobChange::Archive { id } => print_job(&change_job(client, id, "archive").await?, json),
        JobChange::Unarchive { id } => print_job(&change_job(client, id, "unarchive").await?, json),
        JobChange::Rename { id, name } => {
            let job: Job = client.patch(&format!("/jobs/{id}"), &NameChange { name }).await?;
            print_job(&job, json)
        }
    }
}
