//! `constellation dataset delete`, `archive`, `unarchive` and `rename`.

use clap::Subcommand;
use protocol::api::NameChange;
use protocol::dataset::DatasetEntry;
use protocol::split_version;
use serde_json::json;

use super::confirm::confirm;
use crate::client::{Client, escaped};
use crate::output;

#[derive(Debug, Subcommand)]
pub(super) enum DatasetChange {
    /// Delete an uploaded dataset with all its versions, or one version
    ///
    /// Refused while a job that has not ended uses it. Ended jobs and models keep their results.
    Delete {
        /// Name of the dataset, or NAME@N for one version
        name: String,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Hide an uploaded dataset from lists and refuse new jobs on it
    Archive {
        /// Name of the dataset
        name: String,
    },
    /// Show an archived dataset again
    Unarchive {
        /// Name of the dataset
        name: String,
    },
    /// Rename an uploaded dataset; its jobs and models show the new name
    Rename {
        /// Name of the dataset
        name: String,
        /// New name
        new: String,
    },
}

pub(super) async fn run(client: &Client, change: DatasetChange, json: bool) -> anyhow::Result<()> {
    match change {
        DatasetChange::Delete { name, yes } => delete(client, &name, yes, json).await,
        DatasetChange::Archive { name } => {
            let path = format!("/datasets/{}/archive", escaped(&name));
            print(&client.post(&path, &json!({})).await?, "is archived", json)
        }
        DatasetChange::Unarchive { name } => {
            let path = format!("/datasets/{}/unarchive", escaped(&name));
            print(&client.post(&path, &json!({})).await?, "is shown in lists again", json)
        }
        DatasetChange::Rename { name, new } => {
            let path = format!("/datasets/{}", escaped(&name));
            let words = format!("was '{name}'");
            print(&client.patch(&path, &NameChange { name: new }).await?, &words, json)
        }
    }
}

async fn delete(client: &Client, text: &str, yes: bool, json: bool) -> anyhow::Result<()> {
    let (name, version) = split_version(text);
    let (what, path) = match version {
        Some(version) => (
            format!("version {version} of dataset '{name}'"),
            format!("/datasets/{}/versions/{version}", escaped(name)),
        ),
        None => (
            format!("dataset '{name}' with all its versions"),
            format!("/datasets/{}", escaped(name)),
        ),
    };
    confirm(yes, &format!("This deletes {what}. Ended jobs and models keep their results."))?;
    client.delete(&path).await?;
    if json {
        return Ok(output::json(&json!({ "deleted": text }))?);
    }
    Ok(output::line(format_args!("deleted {what}"))?)
}

fn print(dataset: &DatasetEntry, words: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json(dataset)?);
    }
    Ok(output::line(format_args!("dataset '{}' {words}", dataset.name))?)
}
