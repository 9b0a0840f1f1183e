//! Bodies of `/sessions`: how a person signs in to the dashboard.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::api::Role;

/// Body of `POST /sessions/links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLinkRequest {
    /// What who follows the link may do; a viewer or an administrator.
    #[serde(default = "administrator")]
    pub role: Role,
    /// Whom the link is for, as the audit log will call them.
    #[serde(default)]
    pub name: String,
}

impl Default for SignInLinkRequest {
    fn default() -> Self {
        Self { role: administrator(), name: String::new() }
    }
}

const fn administrator() -> Role {
    Role::Admin
}

/// Answer to `POST /sessions/links`: it signs one person in, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    pub code: String,
    /// The link itself, below the coordinator's address.
    pub path: String,
    pub expires_at: Timestamp,
}

/// Body of `POST /sessions`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// What follows `#/sign-in/` in the link.
    pub code: String,
}

/// Whoever asks, as `GET /sessions/current` shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Current {
    pub role: Role,
    pub name: String,
    /// When the session ends if nobody uses it; none where the request shows a token.
    pub expires_at: Option<Timestamp>,
    /// Secret of the session that begins, in the answer to `POST /sessions` alone: on the coordinator's
    /// own machine the page sends it as `Authorization: Bearer`. Absent where a cookie has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Body of `POST /downloads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRequest {
    /// Path and query of the download, such as `/models/news/download?version=2`.
    pub path: String,
}

/// Answer to `POST /downloads`: an address that a browser can follow without a header, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Download {
    /// The path that was asked for, with a ticket.
    pub path: String,
    pub expires_at: Timestamp,
}

/// A person's browser that is signed in, as `GET /sessions` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: String,
    pub role: Role,
    pub name: String,
    /// The address that signed in.
    pub from: Option<String>,
    pub created_at: Timestamp,
    /// To a few minutes.
    pub last_used: Timestamp,
    pub expires_at: Timestamp,
}

/// Answer to `DELETE /sessions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedSessions {
    pub ended: u64,
}

/// The secret stays out of logs.
impl std::fmt::Debug for SignInLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { role, name, expires_at, token: _ } = self;
        let mut shown = f.debug_struct("Current");
        shown.field("role", role).field("name", name).field("expires_at", expires_at);
        shown.finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").finish_non_exhaustive()
    }
}
