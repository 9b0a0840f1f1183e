//! Webhooks: URLs that receive notices. Requests follow the public specification "Standard
//! Webhooks": its headers, signature and secret format.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::notice::{Notice, NoticeKind};
use crate::{Timestamp, WebhookId};

/// Delivery id, the same in every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// Time of this attempt in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// `v1,` and the base64 of the HMAC-SHA256 of `ID.TIMESTAMP.BODY`.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Request body of `POST /webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookRequest {
    /// Receiver's URL: `https://…`. `http://` is allowed only to this machine itself.
    pub url: String,
    /// Kinds of notices to send. Empty = all.
    #[serde(default)]
    pub events: Vec<NoticeKind>,
    /// Signing secret: `whsec_` and the base64 of 24 to 64 bytes. The coordinator creates one if it
    /// is missing.
    #[serde(default)]
    pub secret: Option<String>,
}

/// Response of `POST /webhooks`. The secret is shown only here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedWebhook {
    pub id: WebhookId,
    pub secret: String,
}

/// Webhook as returned by `GET /webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    /// Kinds of notices to send. Empty = all.
    pub events: Vec<NoticeKind>,
    pub created_at: Timestamp,
    /// Deliveries that have not succeeded yet.
    pub waiting: u32,
    /// Result of the last attempt.
    pub last: Option<WebhookResult>,
}

/// Result of an attempt, and response of `POST /webhooks/{id}/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookResult {
    pub at: Timestamp,
    /// Whether the receiver answered with a status of 200 to 299.
    pub delivered: bool,
    /// The receiver's status, or why there is none.
    pub detail: String,
}

/// Request body sent to the receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Kind of notice, or `test`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time of the notice.
    pub timestamp: Timestamp,
    /// Text for chats: the cluster's name and the notice.
    pub text: String,
    pub data: PayloadData,
}

/// Data of a [`Payload`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadData {
    pub cluster: String,
    /// Null in a test.
    pub notice: Option<Notice>,
}
