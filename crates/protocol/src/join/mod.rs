//! Join codes: what a device needs to become part of a cluster, and how it is carried.
//!
//! A [`JoinCode`] is a link (also as QR) with everything: where the coordinator may be, the pin that
//! proves it, and the secret that proves the device. Its [`JoinSecret`] alone can be typed by hand; the
//! coordinator then proves first that it knows it ([`exchange`]), so that a device never gives a
//! code to a stranger.

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

/// What a person gives a worker: the link, or the code as it is typed.
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
        // A typed code has no colon, whatever a person puts between its letters.
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

/// Body of `POST /join-codes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinCodeRequest {
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// How many devices it enrols; 1 where nothing is said.
    #[serde(default)]
    pub uses: Option<u32>,
    /// Seconds until it no longer counts; seven days where nothing is said.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// Answer to `POST /join-codes`; the only time that the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedJoinCode {
    pub id: String,
    pub name: String,
    /// Carries everything: `constellation://join/…`.
    pub link: String,
    /// For typing: 16 letters and digits in four groups.
    pub code: String,
    pub maximum_uses: u32,
    pub expires_at: Timestamp,
}

/// A join code as `GET /join-codes` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinCodeView {
    pub id: String,
    pub name: String,
    pub state: JoinCodeState,
    /// Devices that it enrolled.
    pub uses: u32,
    pub maximum_uses: u32,
    /// Tries by the typed code that nobody finished.
    pub tries: u32,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}

/// Whether a join code still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinCodeState {
    Open,
    /// It enrolled as many devices as it may.
    UsedUp,
    Expired,
    Revoked,
    /// Too many tries by the typed code were not finished: somebody may be guessing.
    Closed,
}
