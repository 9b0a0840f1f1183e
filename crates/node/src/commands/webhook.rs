//! `constellation webhook …`.

use anyhow::bail;
use clap::{Args, Subcommand};
use protocol::WebhookId;
use protocol::notice::NoticeKind;
use protocol::webhook::{CreatedWebhook, Webhook, WebhookRequest, WebhookResult};

use super::access::AccessArguments;
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
    /// Add an address that hears of notices; prints the secret that signs them, this once
    Add {
        /// <https://…>; <http://…> only to the coordinator's own machine
        url: String,
        /// What it hears of, such as `job_failed`; can be given several times [default: everything]
        #[arg(long = "event", value_name = "KIND", value_parser = event)]
        events: Vec<NoticeKind>,
        /// `whsec_` and the base64 of 24 to 64 bytes [default: a new one]
        #[arg(long)]
        secret: Option<String>,
    },
    /// List webhooks and how the last attempt of each ended
    List,
    /// Forget a webhook, and what it did not hear yet
    Remove {
        /// As `webhook list` shows it
        id: WebhookId,
    },
    /// Send a test now; fails where it did not get there
    Test {
        /// As `webhook list` shows it
        id: WebhookId,
    },
}

fn event(word: &str) -> Result<NoticeKind, String> {
    let known = NoticeKind::ALL.into_iter().find(|kind| kind.word() == word);
    known.ok_or_else(|| {
        let words = NoticeKind::ALL.map(NoticeKind::word).join(", ");
        format!("one of {words}")
    })
}

pub async fn run(arguments: WebhookArguments, settings: Settings) -> anyhow::Result<()> {
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
                output::table(["ID", "URL", "EVENTS", "WAITING", "LAST"], &rows)?;
            }
        }
        WebhookCommand::Remove { id } => {
            client.delete(&format!("/webhooks/{id}")).await?;
            if json {
                output::json(&serde_json::json!({ "id": id, "removed": true }))?;
            } else {
                output::line(format_args!("webhook {id} hears no more"))?;
            }
        }
        WebhookCommand::Test { id } => {
            let path = format!("/webhooks/{id}/test");
            let result: WebhookResult = client.post(&path, &serde_json::json!({})).await?;
            if json {
                output::json(&result)?;
            } else if result.delivered {
                output::line(format_args!("delivered: {}", result.detail))?;
            }
            if !result.delivered {
                bail!("the test did not get there: {}", result.detail);
            }
        }
    }
    Ok(())
}

fn row(webhook: &Webhook) -> [String; 5] {
    let events: Vec<&str> = webhook.events.iter().map(|kind| kind.word()).collect();
    let events = if events.is_empty() { "everything".to_owned() } else { events.join(",") };
    let last = webhook.last.as_ref().map_or(String::new(), |last| {
        format!("{}{} ({})", if last.delivered { "" } else { "failed: " }, last.detail, last.at)
    });
    [webhook.id.to_string(), webhook.url.clone(), events, webhook.waiting.to_string(), last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_kind_by_its_word() {
        assert_eq!(event("job_failed"), Ok(NoticeKind::JobFailed));
        let words = event("job_done").unwrap_err();
        assert!(words.starts_with("one of job_completed, job_failed, "), "{words}");
    }
}
