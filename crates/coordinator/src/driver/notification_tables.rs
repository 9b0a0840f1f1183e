//! Notices, webhooks and deliveries in memory.

use std::collections::HashSet;

use federation::table::Table;
use protocol::notice::{Notice, NoticeKind};
use protocol::{DeliveryId, JobId, NoticeId, Timestamp, WebhookId};

use crate::store::{DeliveryRow, NotificationRow, StoredNotifications, WebhookRow};

/// In-memory notices, webhooks and deliveries.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    /// Oldest first, because ids grow.
    pub(super) notices: Table<NoticeId, Notice>,
    pub(super) webhooks: Table<WebhookId, WebhookRow>,
    pub(super) deliveries: Table<DeliveryId, DeliveryRow>,
}

impl From<&StoredNotifications> for Notifications {
    fn from(told: &StoredNotifications) -> Self {
        let notices = told.notices.iter().map(|row| (row.id, row.clone()));
        let webhooks = told.webhooks.iter().map(|row| (row.id, row.clone()));
        let deliveries = told.deliveries.iter().map(|row| (row.id, row.clone()));
        Self {
            notices: Table::stored(notices.collect(), ()),
            webhooks: Table::stored(webhooks.collect(), ()),
            deliveries: Table::stored(deliveries.collect(), ()),
        }
    }
}

impl Notifications {
    /// Returns the rows to write.
    pub(super) fn unwritten(&self) -> Vec<NotificationRow> {
        let notices = self.notices.unwritten();
        let notices = notices.map(|(id, row)| NotificationRow::Notice(*id, row.cloned()));
        let webhooks = self.webhooks.unwritten();
        let webhooks = webhooks.map(|(id, row)| NotificationRow::Webhook(*id, row.cloned()));
        let deliveries = self.deliveries.unwritten();
        let deliveries = deliveries.map(|(id, row)| NotificationRow::Delivery(*id, row.cloned()));
        notices.chain(webhooks).chain(deliveries).collect()
    }

    /// Returns whether something changed in this batch.
    pub(super) fn has_changed(&self) -> bool {
        let notices = self.notices.changed().next().is_some();
        let webhooks = self.webhooks.changed().next().is_some();
        notices || webhooks || self.deliveries.changed().next().is_some()
    }

    /// Returns the newest open notice of a lasting state.
    pub(super) fn open(&self, kind: NoticeKind, subject: Option<&str>) -> Option<&Notice> {
        self.notices.values().rev().find(|notice| {
            notice.kind == kind && notice.subject.as_deref() == subject && notice.ended_at.is_none()
        })
    }

    /// Returns the jobs that an open notice reports as stalled.
    pub(super) fn stalled(&self) -> impl Iterator<Item = JobId> {
        let open = self
            .notices
            .values()
            .filter(|notice| notice.kind == NoticeKind::JobStalled && notice.ended_at.is_none());
        open.filter_map(|notice| notice.subject.as_deref()?.parse().ok())
    }

    pub(super) fn waiting_for(&self, webhook: WebhookId) -> impl Iterator<Item = &DeliveryRow> {
        self.deliveries.values().filter(move |row| row.webhook == webhook)
    }

    /// Returns when the next delivery is due to a webhook without a delivery in progress.
    pub(super) fn due_at(&self, deliveries_in_progress: &HashSet<WebhookId>) -> Option<Timestamp> {
        let idle =
            self.deliveries.values().filter(|row| !deliveries_in_progress.contains(&row.webhook));
        idle.map(|row| row.next_at).min()
    }
}
