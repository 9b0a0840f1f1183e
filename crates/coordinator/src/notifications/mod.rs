//! Delivery of notices to webhooks. The driver decides which notices are sent and stores them together
//! with the change that they are about; this module formats, signs and sends them.

mod address;
mod outbox;
mod signature;
mod webhook_sender;

pub(crate) use address::{check_url, host_of};
pub(crate) use outbox::{GIVE_UP, MOST_NOTICES, MOST_WAITING, MOST_WEBHOOKS, pause_after};
pub(crate) use signature::{check_secret, new_secret};
pub(crate) use webhook_sender::WebhookSender;
