//! `constellation webhook …`.

use anyhow::bail;
use clap::{Args, Subcommand};
use protocol::notice::NoticeKind;
use protocol::webhook::{CreatedWebhook, Webhook, WebhookRequest, WebhookResult};

use super::access::AccessArguments;
use super::lookup::id_of;
use crate::output;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub struct WebhookArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Add a webhook
    ///
    /// Prints the id of the webhook and the secret that signs its requests. The secret is not shown again.
    Add {
        /// URL that receives the notices: https, or http on the coordinator's own machine
        url: String,
        /// Kind of notice to send, such as `job_failed`; repeatable [default: all kinds]
        #[arg(long = "event", value_name = "KIND", value_parser = event)]
        events: Vec<NoticeKind>,
        /// Signing secret: `whsec_` followed by 24 to 64 bytes in base64 [default: generated]
        #[arg(long)]
        secret: Option<String>,
    },
    /// List webhooks and the result of their last delivery
    List,
    /// Remove a webhook and its undelivered notices
    Remove {
        /// URL or id of the webhook, or a unique start of either
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
    /// Send a test notice; fails if it can't be delivered
    Test {
        /// URL or id of the webhook, or a unique start of either
        #[arg(value_name = "WEBHOOK")]
        id: String,
    },
}

fn event(word: &str) -> Result<NoticeKind, String> {
    let known = NoticeKind::ALL.into_iter().find(|kind| kind.word() == word);
    known.ok_or_else(|| {
        let kinds = NoticeKind::ALL.map(NoticeKind::word).join(", ");
        format!("expected one of {kinds}")
    })
}

pub(super) async fn run(arguments: WebhookArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        WebhookCommand::Add { url, events, secret } => {
            let request = WebhookRequest { url, events, secret };
            let created: CreatedWebhook = client.post("/webhooks", &request).await?;
            if json {
                output::json(&created)?;
            } else {
                output::line(format_args!("{}  {}", created.id, created.secret))?;
            }
        }
        WebhookCommand::List => {
            let webhooks: Vec<Webhook> = client.get("/webhooks").await?;
            if json {
                output::json(&webhooks)?;
            } else {
                let rows: Vec<[String; 5]> = webhooks.iter().map(row).collect();
                output::table(["ID", "URL", "EVENTS", "PENDING", "LAST DELIVERY"], &rows)?;
            }
        }
        WebhookCommand::Remove { id } => {
            let id = id_of::<Webhook>(&client, &id).await?;
            client.delete(&format!("/webhooks/{id}")).await?;
            if json {
                output::json(&serde_json::json!({ "id": id, "removed": true }))?;
            } else {
                output::line(format_args!("webhook {id} is removed"))?;
            }
        }
        WebhookCommand::Test { id } => {
            let id = id_of::<Webhook>(&client, &id).await?;
            let path = format!("/webhooks/{id}/test");
            let result: WebhookResult = client.post(&path, &serde_json::json!({})).await?;
            if json {
                output::json(&result)?;
            } else if result.delivered {
                output::line(format_args!("delivered: {}", result.detail))?;
            }
            if !result.delivered {
                bail!("the test notice could not be delivered: {}", result.detail);
            }
        }
    }
    Ok(())
}

fn row(webhook: &Webhook) -> [String; 5] {
    let events: Vec<&str> = webhook.events.iter().map(|kind| kind.word()).collect();
    let events = if events.is_empty() { "all".to_owned() } else { events.join(",") };
    let last = webhook.last.as_ref().map_or(String::new(), |last| {
        format!("{}{} ({})", if last.delivered { "" } else { "failed: " }, last.detail, last.at)
    });
    [webhook.id.to_string(), webhook.url.clone(), events, webhook.waiting.to_string(), last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_kind() {
        assert_eq!(event("job_failed"), Ok(NoticeKind::JobFailed));
        let error = event("job_done").unwrap_err();
        assert!(error.starts_with("expected one of job_completed, job_failed, "), "{error}");
    }
}
