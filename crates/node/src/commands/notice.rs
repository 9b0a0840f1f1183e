//! `constellation notice …`.

use clap::{Args, Subcommand};
use protocol::notice::Notice;

use super::access::AccessArguments;
use super::lookup::id_of;
use crate::output;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub struct NoticeArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: NoticeCommand,
}

#[derive(Debug, Subcommand)]
enum NoticeCommand {
    /// List notices, newest first
    List {
        /// Include resolved and dismissed notices
        #[arg(long)]
        all: bool,
    },
    /// Dismiss a notice
    Dismiss {
        /// Id of the notice, or a unique start of it or of its text
        #[arg(value_name = "NOTICE")]
        id: String,
    },
}

pub(super) async fn run(arguments: NoticeArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        NoticeCommand::List { all } => {
            let notices: Vec<Notice> = client.get(&format!("/notices?all={all}")).await?;
            if json {
                output::json(&notices)?;
            } else if notices.is_empty() {
                output::line("Nothing needs attention.")?;
            } else {
                let rows: Vec<[String; 5]> = notices.iter().map(row).collect();
                output::table(["ID", "SINCE", "KIND", "STATE", "WHAT"], &rows)?;
            }
        }
        NoticeCommand::Dismiss { id } => {
            let id = id_of::<Notice>(&client, &id).await?;
            let path = format!("/notices/{id}/dismiss");
            let notice: Notice = client.post(&path, &serde_json::json!({})).await?;
            if json {
                output::json(&notice)?;
            } else {
                output::line(format_args!("dismissed: {}", notice.text))?;
            }
        }
    }
    Ok(())
}

fn row(notice: &Notice) -> [String; 5] {
    let state = match (notice.dismissed_at, notice.ended_at) {
        (Some(_), _) => "dismissed",
        (None, Some(_)) => "resolved",
        (None, None) => "open",
    };
    [
        notice.id.to_string(),
        notice.created_at.to_string(),
        notice.kind.word().to_owned(),
        state.to_owned(),
        notice.text.clone(),
    ]
}
