//! Join codes: the credentials with which a device joins a cluster.
//!
//! A [`JoinCode`] is a link, also shown as a QR code. It carries the coordinator's possible
//! addresses, the pin that authenticates the coordinator and the secret that authorizes the device.
//! A person can type its [`JoinSecret`] alone. The coordinator then proves first that it knows the
//! secret ([`exchange`]), so a device never sends a code to an unknown server.

pub mod exchange;
mod link;
mod secret;

use std::fmt;
use std::str::FromStr;

pub use link::{InvalidLink, JoinCode, LINK_PREFIX};
pub use secret::{InvalidSecret, JoinHint, JoinProof, JoinSecret, SECRET_BYTES};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// Join credential as a person enters it: the link or the typed code.
#[derive(Clone, PartialEq, Eq)]
pub enum Join {
    Link(Box<JoinCode>),
    Typed(JoinSecret),
}

/// Text that is neither a join link nor a typed code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoin {
    #[error(transparent)]
    Link(#[from] InvalidLink),
    #[error(transparent)]
    Typed(#[from] InvalidSecret),
}

impl Join {
    pub const fn secret(&self) -> &JoinSecret {
        match self {
            Self::Link(code) => &code.secret,
            Self::Typed(secret) => secret,
        }
    }
}

impl FromStr for Join {
    type Err = InvalidJoin;

    fn from_str(text: &str) -> Result<Self, InvalidJoin> {
        let text = text.trim();
        // A typed code has no colon, whatever separators a person puts between its letters.
        if text.contains(':') {
            return Ok(Self::Link(Box::new(text.parse()?)));
        }
        Ok(Self::Typed(text.parse()?))
    }
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(code) => code.fmt(f),
            Self::Typed(secret) => secret.fmt(f),
        }
    }
}

/// Request body of `POST /join-codes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinCodeRequest {
    /// Name for people, such as the purpose of the code.
    #[serde(default)]
    pub name: String,
    /// Number of devices that it may enroll. Defaults to 1.
    #[serde(default)]
    pub uses: Option<u32>,
    /// Seconds until it expires. Defaults to seven days.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// Response of `POST /join-codes`. The secret is shown only here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedJoinCode {
    pub id: String,
    pub name: String,
    /// Link that carries everything: `constellation://join/…`.
    pub link: String,
    /// Code for typing: 16 letters and digits in four groups.
    pub code: String,
    pub maximum_uses: u32,
    pub expires_at: Timestamp,
    /// Command that opens the coordinator to the network. Set while it listens on its own machine only, where no other
    /// device can use the code.
    #[serde(default)]
    pub listen_command: Option<String>,
}

/// Join code as returned by `GET /join-codes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinCodeView {
    pub id: String,
    pub name: String,
    pub state: JoinCodeState,
    /// Devices that it enrolled.
    pub uses: u32,
    pub maximum_uses: u32,
    /// Unfinished attempts with the typed code.
    pub tries: u32,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}

/// State of a join code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinCodeState {
    Open,
    /// It enrolled the maximum number of devices.
    UsedUp,
    Expired,
    Revoked,
    /// Too many attempts with the typed code were not finished: somebody may be guessing.
    Closed,
}
