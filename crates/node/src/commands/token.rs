//! `constellation token …`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use protocol::Timestamp;
use protocol::api::{CreatedToken, Role, Token, TokenRequest};

use super::access::AccessArguments;
use super::lookup::id_of;
use crate::output;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub struct TokenArguments {
    #[command(flatten)]
    access: AccessArguments,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token
    ///
    /// Prints the token. It is not shown again.
    Create {
        /// Access that the token grants
        #[arg(long, value_enum)]
        role: TokenRole,
        /// Name of the token, for lists and the audit log
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Lifetime of the token, such as 30d or 12h [default: unlimited]
        #[arg(long, value_name = "TIME", value_parser = protocol::duration::parse)]
        expires: Option<Duration>,
    },
    /// List tokens, without their secrets
    List,
    /// Revoke a token
    Delete {
        /// Name or id of the token, or a unique start of either
        #[arg(value_name = "TOKEN_ID")]
        id: String,
    },
}

/// Roles that a token can have. Devices get their tokens when they enroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TokenRole {
    /// Full access
    Admin,
    /// Read-only access
    Viewer,
}

impl From<TokenRole> for Role {
    fn from(role: TokenRole) -> Self {
        match role {
            TokenRole::Admin => Self::Admin,
            TokenRole::Viewer => Self::Viewer,
        }
    }
}

pub(super) async fn run(arguments: TokenArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    match arguments.command {
        TokenCommand::Create { role, name, expires } => {
            let expires_in = expires.map(|expires| expires.as_secs());
            let request = TokenRequest { role: role.into(), name, expires_in };
            let created: CreatedToken = client.post("/tokens", &request).await?;
            if json {
                output::json(&created)?;
            } else {
                output::line(&created.token)?;
            }
        }
        TokenCommand::List => {
            let tokens: Vec<Token> = client.get("/tokens").await?;
            if json {
                output::json(&tokens)?;
            } else {
                let rows: Vec<[String; 6]> = tokens.iter().map(row).collect();
                let headings = ["ID", "ROLE", "NAME", "CREATED", "LAST USED", "EXPIRES"];
                output::table(headings, &rows)?;
            }
        }
        TokenCommand::Delete { id } => {
            let id = id_of::<Token>(&client, &id).await?;
            client.delete(&format!("/tokens/{id}")).await?;
            if json {
                output::json(&serde_json::json!({ "id": id, "deleted": true }))?;
            } else {
                output::line(format_args!("token {id} is revoked"))?;
            }
        }
    }
    Ok(())
}

fn row(token: &Token) -> [String; 6] {
    let time = |time: Option<Timestamp>| time.map_or("never".to_owned(), |time| time.to_string());
    [
        token.id.clone(),
        token.role.word().to_owned(),
        token.name.clone(),
        token.created_at.to_string(),
        time(token.last_used),
        time(token.expires_at),
    ]
}
