//! Bodies of `/sessions`: sign-in to the dashboard.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::api::Role;

/// Body of `POST /sessions/links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLinkRequest {
    /// Role of the person who signs in: viewer or administrator.
    #[serde(default = "administrator")]
    pub role: Role,
    /// Name of the person who signs in, for the audit log.
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

/// Response to `POST /sessions/links`. The link signs in one person, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    pub code: String,
    /// Path of the link, relative to the coordinator's address.
    pub path: String,
    pub expires_at: Timestamp,
}

/// Body of `POST /sessions`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// Code after `#/sign-in/` in the link.
    pub code: String,
}

/// Signed-in caller as shown by `GET /sessions/current`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Current {
    pub role: Role,
    pub name: String,
    /// Time when the session ends without use. Absent if the request was authorized by a token.
    pub expires_at: Option<Timestamp>,
    /// Secret of the new session, only in the response to `POST /sessions`. On the coordinator's machine the page
    /// sends it as `Authorization: Bearer`. Absent if a cookie holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Body of `POST /downloads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadRequest {
    /// Path and query of the download, such as `/models/news/download?version=2`.
    pub path: String,
}

/// Response to `POST /downloads`: a URL that a browser can open once, without a header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Download {
    /// The requested path, with a ticket.
    pub path: String,
    pub expires_at: Timestamp,
}

/// Browser session of a person, as shown by `GET /sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: String,
    pub role: Role,
    pub name: String,
    /// Network address that signed in.
    pub from: Option<String>,
    pub created_at: Timestamp,
    /// Accurate to a few minutes.
    pub last_used: Timestamp,
    pub expires_at: Timestamp,
}

/// Response to `DELETE /sessions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedSessions {
    pub ended: u64,
}

/// Keeps the secret out of logs.
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
