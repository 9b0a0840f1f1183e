//! `constellation coordinator sign-in`.

use clap::{Args, ValueEnum};
use protocol::api::Role;
use protocol::session::{SignInLink, SignInLinkRequest};

use super::access::AccessArguments;
use crate::output;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct SignInArguments {
    #[command(flatten)]
    access: AccessArguments,
    /// Role of the person who opens the link
    #[arg(long, value_enum, default_value_t = PersonRole::Admin)]
    role: PersonRole,
    /// Name of that person, for the audit log
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
}

/// Roles that a person can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PersonRole {
    /// Full access
    Admin,
    /// Read-only access
    Viewer,
}

impl From<PersonRole> for Role {
    fn from(role: PersonRole) -> Self {
        match role {
            PersonRole::Admin => Self::Admin,
            PersonRole::Viewer => Self::Viewer,
        }
    }
}

pub(super) async fn run(arguments: SignInArguments, settings: Settings) -> anyhow::Result<()> {
    let json = arguments.access.json;
    let client = arguments.access.client(settings)?;
    let request = SignInLinkRequest { role: arguments.role.into(), name: arguments.name };
    let link: SignInLink = client.post("/sessions/links", &request).await?;
    let url = format!("{}{}", client.address(), link.path);
    if json {
        let expires_at = link.expires_at;
        return Ok(output::json(&serde_json::json!({ "url": url, "expires_at": expires_at }))?);
    }
    output::line(&url)?;
    output::note(format_args!("The link works once, until {}.", link.expires_at));
    Ok(())
}
