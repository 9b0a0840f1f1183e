//! Rows of notices, webhooks and deliveries.

use protocol::notice::{Notice, NoticeKind};
use protocol::webhook::{Payload, Webhook, WebhookResult};
use protocol::{DeliveryId, NoticeId, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::cluster::sealed_secrets::{SealedSecret, SecretKey};

/// URL and signing secret of a webhook. The URL may contain a secret of the receiver, too.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WebhookTarget {
    pub(crate) url: String,
    pub(crate) secret: String,
}

impl WebhookTarget {
    /// Encrypts the target for its row.
    pub(crate) fn seal(
        &self,
        id: WebhookId,
        secrets: &SecretKey,
    ) -> Result<SealedSecret, StoreError> {
        let unreadable = |reason| StoreError::Unreadable { what: "webhook", reason };
        let plain = serde_json::to_vec(self).map_err(|error| unreadable(error.to_string()))?;
        secrets.seal(&WebhookRow::row(id), &plain).map_err(|error| unreadable(error.to_string()))
    }
}

/// Webhook row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WebhookRow {
    pub(crate) id: WebhookId,
    /// Encrypted JSON of a [`WebhookTarget`].
    #[serde(default)]
    pub(crate) sealed: SealedSecret,
    /// Subscribed kinds. Empty means all.
    pub(crate) events: Vec<NoticeKind>,
    pub(crate) created_at: Timestamp,
    pub(crate) last: Option<WebhookResult>,
}

impl WebhookRow {
    pub(crate) fn wants(&self, kind: NoticeKind) -> bool {
        self.events.is_empty() || self.events.contains(&kind)
    }

    /// Returns the name of the row for which [`Self::sealed`] is encrypted.
    pub(crate) fn row(id: WebhookId) -> String {
        format!("webhooks/{id}")
    }

    /// Decrypts the target.
    pub(crate) fn target(&self, secrets: &SecretKey) -> Result<WebhookTarget, StoreError> {
        let unreadable = |reason| StoreError::Unreadable { what: "webhook", reason };
        let plain = secrets.open(&Self::row(self.id), &self.sealed);
        let plain = plain.map_err(|error| unreadable(error.to_string()))?;
        serde_json::from_slice(&plain).map_err(|error| unreadable(error.to_string()))
    }

    /// Returns the API view. `waiting` is the number of pending deliveries.
    pub(crate) fn view(&self, url: String, waiting: usize) -> Webhook {
        Webhook {
            id: self.id,
            url,
            events: self.events.clone(),
            created_at: self.created_at,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            last: self.last.clone(),
        }
    }
}

/// Pending delivery of a notice to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryRow {
    pub(crate) id: DeliveryId,
    pub(crate) webhook: WebhookId,
    pub(crate) payload: Payload,
    pub(crate) created_at: Timestamp,
    /// Number of failed attempts.
    pub(crate) attempts: u32,
    /// Time of the next attempt.
    pub(crate) next_at: Timestamp,
}

/// New content of a row. `None` if it was deleted.
#[derive(Debug, Clone)]
pub(crate) enum NotificationRow {
    Notice(NoticeId, Option<Notice>),
    Webhook(WebhookId, Option<WebhookRow>),
    Delivery(DeliveryId, Option<DeliveryRow>),
}

/// All notices, webhooks and deliveries.
#[derive(Debug)]
pub(crate) struct StoredNotifications {
    pub(crate) notices: Vec<Notice>,
    pub(crate) webhooks: Vec<WebhookRow>,
    pub(crate) deliveries: Vec<DeliveryRow>,
}
