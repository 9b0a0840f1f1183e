//! Notices and webhooks. A notice is written in the transaction of the change it reports, with one
//! delivery for each subscribed webhook. Deliveries are sent after the commit and retried until
//! they succeed.

use federation::table::Table;
use protocol::api::{ChangeKind, JobStatus};
use protocol::audit::{Action, SubjectKind};
use protocol::notice::{Notice, NoticeKind};
use protocol::webhook::{CreatedWebhook, WebhookRequest, WebhookResult};
use protocol::{DeliveryId, JobId, NoticeId, Timestamp, WebhookId};
use uuid::Uuid;

use super::audited::Audited;
use super::state::State;
use super::writer::RETRY;
use super::{Driver, DriverError, DriverHandle};
use crate::access::caller::{Detail, detail};
use crate::clock;
use crate::notifications::{
    GIVE_UP, MOST_NOTICES, MOST_WAITING, MOST_WEBHOOKS, host_of, new_secret, pause_after,
};
use crate::store::{DeliveryRow, StoreError, WebhookRow, WebhookTarget};

impl Driver {
    /// Raises a notice. A lasting state has only one open notice until it ends.
    pub(super) fn raise(&mut self, kind: NoticeKind, subject: Option<String>, text: String) {
        if kind.lasts() && self.state.notifications.open(kind, subject.as_deref()).is_some() {
            return;
        }
        let now = clock::now();
        let notice = Notice {
            id: NoticeId::from_uuid(Uuid::now_v7()),
            kind,
            text,
            subject,
            created_at: now,
            ended_at: None,
            dismissed_at: None,
        };
        tracing::info!(%kind, text = notice.text, "notice");
        let hearing = self.state.notifications.webhooks.values().filter(|row| row.wants(kind));
        let hearing: Vec<WebhookId> = hearing.map(|row| row.id).collect();
        for webhook in hearing {
            self.enqueue(now, webhook, &notice);
        }
        self.put_notice(notice.id, Some(notice));
        while self.state.notifications.notices.len() > MOST_NOTICES {
            let Some(oldest) = self.state.notifications.notices.keys().next().copied() else {
                break;
            };
            self.put_notice(oldest, None);
        }
    }

    /// Ends the open notice of a state, if there is one.
    pub(super) fn end_notice(&mut self, kind: NoticeKind, subject: Option<&str>) {
        if let Some(notice) = self.state.notifications.open(kind, subject) {
            let notice = Notice { ended_at: Some(clock::now()), ..notice.clone() };
            self.put_notice(notice.id, Some(notice));
        }
    }

    pub(super) fn has_open_notice(&self, kind: NoticeKind, subject: Option<&str>) -> bool {
        self.state.notifications.open(kind, subject).is_some()
    }

    /// Raises the notice of a job that just ended.
    pub(super) fn job_ended(&mut self, id: JobId) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        let machine = &row.machine;
        let (name, reason) = (self.job_name(row), machine.reason());
        let (kind, words) = match machine.status() {
            JobStatus::Completed => {
                let accuracy = machine.history().rev().find_map(|round| {
                    Some(format!("; test accuracy {:.4}", round.evaluation.as_ref()?.accuracy))
                });
                let words = format!(
                    "completed after {} rounds{}",
                    machine.rounds_closed(),
                    accuracy.unwrap_or_default()
                );
                (NoticeKind::JobCompleted, words)
            }
            JobStatus::Failed => {
                let reason = reason.as_deref().unwrap_or("no reason was given");
                (NoticeKind::JobFailed, format!("failed: {reason}"))
            }
            JobStatus::Cancelled => (NoticeKind::JobCancelled, "was cancelled".to_owned()),
            JobStatus::Pending | JobStatus::Preparing | JobStatus::Running | JobStatus::Paused => {
                return;
            }
        };
        let text = format!("job '{name}' {words}");
        // A job that did not complete is no evidence against a device.
        let forgiven = kind != NoticeKind::JobCompleted;
        let subject = id.to_string();
        self.set_stalled(id, false);
        self.end_notice(NoticeKind::JobStalled, Some(&subject));
        self.raise(kind, Some(subject), text);
        if forgiven {
            self.forgive(id);
        }
    }

    fn dismiss(&mut self, id: NoticeId) -> Result<Notice, DriverError> {
        let notice =
            self.state.notifications.notices.get(&id).ok_or(DriverError::UnknownNotice(id))?;
        let mut notice = notice.clone();
        if notice.dismissed_at.is_none() {
            notice.dismissed_at = Some(clock::now());
            self.put_notice(id, Some(notice.clone()));
        }
        Ok(notice)
    }

    fn add_webhook(&mut self, request: WebhookRequest) -> Result<CreatedWebhook, DriverError> {
        let count = self.state.notifications.webhooks.len();
        if count >= MOST_WEBHOOKS {
            return Err(DriverError::TooManyWebhooks(count));
        }
        let secret = request.secret.unwrap_or_else(new_secret);
        let (id, target) =
            (WebhookId::from_uuid(Uuid::now_v7()), WebhookTarget { url: request.url, secret });
        let sealed = target.seal(id, &self.secrets)?;
        let (events, created_at) = (request.events, clock::now());
        self.put_webhook(id, Some(WebhookRow { id, sealed, events, created_at, last: None }));
        Ok(CreatedWebhook { id, secret: target.secret })
    }

    /// Removes a webhook and its pending deliveries.
    fn remove_webhook(&mut self, id: WebhookId) -> Result<(), DriverError> {
        if !self.state.notifications.webhooks.contains_key(&id) {
            return Err(DriverError::UnknownWebhook(id));
        }
        let waiting: Vec<DeliveryId> =
            self.state.notifications.waiting_for(id).map(|row| row.id).collect();
        for delivery in waiting {
            self.put_delivery(delivery, None);
        }
        self.put_webhook(id, None);
        Ok(())
    }

    fn webhook_answered(
        &mut self,
        id: WebhookId,
        result: WebhookResult,
    ) -> Result<(), DriverError> {
        let row =
            self.state.notifications.webhooks.get(&id).ok_or(DriverError::UnknownWebhook(id))?;
        let row = WebhookRow { last: Some(result), ..row.clone() };
        self.put_webhook(id, Some(row));
        Ok(())
    }

    fn enqueue(&mut self, now: Timestamp, webhook: WebhookId, notice: &Notice) {
        if self.state.notifications.waiting_for(webhook).count() >= MOST_WAITING {
            let oldest = self.state.notifications.waiting_for(webhook).map(|row| row.id).next();
            if let Some(oldest) = oldest {
                tracing::warn!(%webhook, "webhook queue full: dropped the oldest delivery");
                self.put_delivery(oldest, None);
            }
        }
        let row = DeliveryRow {
            id: DeliveryId::from_uuid(Uuid::now_v7()),
            webhook,
            payload: self.webhook_sender.payload(notice),
            created_at: now,
            attempts: 0,
            next_at: now,
        };
        self.put_delivery(row.id, Some(row));
    }

    /// Starts the due deliveries after a commit, one attempt at a time for each webhook.
    pub(super) fn send_due(&mut self, now: Timestamp) {
        let webhooks: Vec<WebhookRow> =
            self.state.notifications.webhooks.values().cloned().collect();
        for webhook in webhooks {
            if self.deliveries_in_progress.contains(&webhook.id) {
                continue;
            }
            let waiting = self.state.notifications.waiting_for(webhook.id);
            let due = waiting.filter(|row| row.next_at <= now).min_by_key(|row| row.next_at);
            let Some(due) = due.cloned() else { continue };
            self.deliveries_in_progress.insert(webhook.id);
            let (webhook_sender, driver) = (self.webhook_sender.clone(), self.handle.clone());
            let target = webhook.target(&self.secrets);
            self.steps.runtime.spawn(async move {
                let sent = match target {
                    Ok(to) => webhook_sender.send(&to.url, &to.secret, due.id, &due.payload).await,
                    Err(error) => undelivered(&error),
                };
                hand_in(&driver, webhook.id, due.id, sent).await;
            });
        }
    }

    fn delivered(&mut self, webhook: WebhookId, id: DeliveryId, result: WebhookResult) {
        self.after_commit(move |driver, committed| {
            if committed.is_ok() {
                driver.deliveries_in_progress.remove(&webhook);
            }
        });
        let Some(row) = self.state.notifications.deliveries.get(&id).cloned() else { return };
        let now = clock::now();
        let given_up = !result.delivered && now.since(row.created_at) > GIVE_UP;
        if given_up {
            tracing::warn!(%webhook, delivery = %id, detail = result.detail, "gave up a delivery");
        }
        if result.delivered || given_up {
            self.put_delivery(id, None);
        } else {
            let attempts = row.attempts.saturating_add(1);
            let next_at = now.after(pause_after(attempts, id));
            self.put_delivery(id, Some(DeliveryRow { attempts, next_at, ..row }));
        }
        // The webhook may have been removed meanwhile.
        drop(self.webhook_answered(webhook, result));
    }

    fn put_notice(&mut self, id: NoticeId, row: Option<Notice>) {
        put(&mut self.state.notifications.notices, id, row);
        self.pending.changed(ChangeKind::Notice, id.to_string());
    }

    fn put_webhook(&mut self, id: WebhookId, row: Option<WebhookRow>) {
        put(&mut self.state.notifications.webhooks, id, row);
    }

    fn put_delivery(&mut self, id: DeliveryId, row: Option<DeliveryRow>) {
        put(&mut self.state.notifications.deliveries, id, row);
    }

    /// Publishes the current notices and webhooks.
    pub(super) fn publish_notifications(&self) {
        let State { notifications, .. } = &self.state;
        let webhooks = notifications.webhooks.values();
        let webhooks = webhooks.map(|row| {
            let url = row.target(&self.secrets).map(|target| target.url).unwrap_or_default();
            row.view(url, notifications.waiting_for(row.id).count())
        });
        self.views.publish_notifications(
            notifications.notices.values().cloned().collect(),
            webhooks.collect(),
        );
    }
}

/// Returns the result of a delivery to a webhook that can't be decrypted.
fn undelivered(error: &StoreError) -> WebhookResult {
    WebhookResult { at: clock::now(), delivered: false, detail: error.to_string() }
}

fn put<K: Ord + Clone, V: Clone>(table: &mut Table<K, V>, id: K, row: Option<V>) {
    match row {
        Some(row) => table.insert(id, row),
        None => drop(table.remove(&id)),
    }
}

/// Reports the result to the driver until it is stored. The delivery is not sent again for that.
async fn hand_in(driver: &DriverHandle, webhook: WebhookId, id: DeliveryId, sent: WebhookResult) {
    loop {
        let result = sent.clone();
        let stored = driver.write(move |driver| {
            driver.delivered(webhook, id, result);
            Ok(())
        });
        match stored.await {
            Err(DriverError::Store(StoreError::Full | StoreError::Sqlite(_))) => {
                tokio::time::sleep(RETRY).await;
            }
            Ok(()) | Err(_) => return,
        }
    }
}

impl DriverHandle {
    /// Returns the URL and the secret of a webhook.
    pub(crate) async fn webhook(&self, id: WebhookId) -> Result<WebhookTarget, DriverError> {
        self.read(move |driver| {
            let row = driver
                .state
                .notifications
                .webhooks
                .get(&id)
                .ok_or(DriverError::UnknownWebhook(id))?;
            Ok(row.target(&driver.secrets)?)
        })
        .await
    }

    /// Records the result of a webhook test.
    pub(crate) async fn webhook_tested(
        &self,
        id: WebhookId,
        result: WebhookResult,
    ) -> Result<(), DriverError> {
        self.write(move |driver| driver.webhook_answered(id, result)).await
    }
}

impl Audited<'_> {
    pub(crate) async fn dismiss_notice(&self, id: NoticeId) -> Result<Notice, DriverError> {
        self.write(move |driver, caller| {
            let notice = driver.dismiss(id)?;
            let detail = detail([("kind", notice.kind.to_string())]);
            driver.record(caller, Action::Changed, SubjectKind::Notice, id, detail);
            Ok(notice)
        })
        .await
    }

    pub(crate) async fn add_webhook(
        &self,
        request: WebhookRequest,
    ) -> Result<CreatedWebhook, DriverError> {
        self.write(|driver, caller| {
            // The rest of the URL may contain a secret of the receiver.
            let host = host_of(&request.url).unwrap_or_default();
            let created = driver.add_webhook(request)?;
            let detail = detail([("host", host)]);
            driver.record(caller, Action::Added, SubjectKind::Webhook, created.id, detail);
            Ok(created)
        })
        .await
    }

    pub(crate) async fn remove_webhook(&self, id: WebhookId) -> Result<(), DriverError> {
        self.write(move |driver, caller| {
            driver.remove_webhook(id)?;
            driver.record(caller, Action::Removed, SubjectKind::Webhook, id, Detail::new());
            Ok(())
        })
        .await
    }
}
