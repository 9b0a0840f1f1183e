//! `constellation model delete`, `archive`, `unarchive` and `rename`.

use clap::Subcommand;
use protocol::api::{Model, ModelChange};
use serde_json::json;

use super::confirm::confirm;
use crate::client::{Client, escaped};
use crate::output;

#[derive(Debug, Subcommand)]
pub(super) enum ModelChangeCommand {
    /// Delete a model with all its versions, or one version
    ///
    /// Refused while a version to delete has a stage. Jobs keep their results.
    Delete {
        /// Name of the model, or NAME@N for one version
        name: String,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Hide a model, with all its versions, from lists
    Archive {
        /// Name of the model
        name: String,
    },
    /// Show an archived model again
    Unarchive {
        /// Name of the model
        name: String,
    },
    /// Rename a model, with all its versions
    Rename {
        /// Name of the model
        name: String,
        /// New name
        new: String,
    },
}

pub(super) async fn run(
    client: &Client,
    change: ModelChangeCommand,
    json: bool,
) -> anyhow::Result<()> {
    match change {
        ModelChangeCommand::Delete { name, yes } => delete(client, &name, yes, json).await,
        ModelChangeCommand::Archive { name } => {
            let path = format!("/models/{}/archive", escaped(&name));
            print(&client.post(&path, &json!({})).await?, "is archived", json)
        }
        ModelChangeCommand::Unarchive { name } => {
            let path = format!("/models/{}/unarchive", escaped(&name));
            print(&client.post(&path, &json!({})).await?, "is shown in lists again", json)
        }
        ModelChangeCommand::Rename { name, new } => {
            let path = format!("/models/{}", escaped(&name));
            let change = ModelChange { name: Some(new), ..ModelChange::default() };
            print(&client.patch(&path, &change).await?, &format!("was '{name}'"), json)
        }
    }
}

async fn delete(client: &Client, name: &str, yes: bool, json: bool) -> anyhow::Result<()> {
    let path = format!("/models/{}", escaped(name));
    let model: Model = client.get(&path).await?;
    let what = if model.name == name {
        format!("model '{name}' with all its versions")
    } else {
        format!("version {} of model '{}'", model.version, model.name)
    };
    confirm(yes, &format!("This deletes {what}. Jobs keep their results."))?;
    client.delete(&path).await?;
    if json {
        return Ok(output::json(&json!({ "deleted": name }))?);
    }
    Ok(output::line(format_args!("deleted {what}"))?)
}

fn print(model: &Model, words: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json(model)?);
    }
    Ok(output::line(format_args!("model '{}' {words}", model.name))?)
}
