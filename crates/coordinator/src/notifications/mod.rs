//! Telling people: how notices get to webhooks. The driver decides what is told and writes it
//! together with what it is about; here it is put into words and sent.

mod address;
mod outbox;
mod signature;
mod webhook_sender;

pub(crate) use address::{check_url, host_of};
pub(crate) use outbox::{GIVE_UP, MOST_NOTICES, MOST_WAITING, MOST_WEBHOOKS, pause_after};
pub(crate) use signature::{check_secret, new_secret};
pub(crate) use webhook_sender::WebhookSender;
