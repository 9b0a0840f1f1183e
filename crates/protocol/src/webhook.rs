//! Webhooks: addresses that hear of notices. What is sent follows the public specification
//! "Standard Webhooks": its headers, its signature, its form of secrets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::notice::{Notice, NoticeKind};
use crate::{Timestamp, WebhookId};

/// The delivery's id: the same in every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// When this attempt was made, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// `v1,` and the base64 of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Body of `POST /webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookRequest {
    /// `https://…`; `http://` only to this machine itself.
    pub url: String,
    /// What it hears of; empty = everything.
    #[serde(default)]
    pub events: Vec<NoticeKind>,
    /// `whsec_` and the base64 of 24 to 64 bytes; made by the coordinator where none is given.
    #[serde(default)]
    pub secret: Option<String>,
}

/// Answer to `POST /webhooks`; the only time the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedWebhook {
    pub id: WebhookId,
    pub secret: String,
}

/// A webhook as `GET /webhooks` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    /// What it hears of; empty = everything.
    pub events: Vec<NoticeKind>,
    pub created_at: Timestamp,
    /// Deliveries that did not get there yet.
    pub waiting: u32,
    /// How the last attempt ended.
    pub last: Option<WebhookResult>,
}

/// How an attempt ended; also the answer to `POST /webhooks/{id}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookResult {
    pub at: Timestamp,
    /// Whether the receiver answered with a status of 200 to 299.
    pub delivered: bool,
    /// In words: the status, or why there is none.
    pub detail: String,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The notice's kind; `test` for a test.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: Timestamp,
    /// For chats: the cluster's name and the notice's text.
    pub text: String,
    pub data: PayloadData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadData {
    pub cluster: String,
    /// None in a test.
    pub notice: Option<Notice>,
}
