//! Sending one delivery: an HTTP POST that follows no redirect and takes no proxy.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use protocol::notice::Notice;
use protocol::webhook::{
    ID_HEADER, Payload, PayloadData, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookResult,
};
use protocol::{DeliveryId, Timestamp};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::address::{GuardedNames, check_url};
use super::signature::signature;
use crate::clock;

/// For a receiver to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries notices to webhooks. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct WebhookSender {
    /// Or why there is none: a coordinator works without.
    client: Result<Client, Arc<str>>,
    /// The cluster's name.
    cluster: Arc<str>,
}

impl WebhookSender {
    pub(crate) fn new(cluster: &str) -> Self {
        // An error says that the process has one already: any is good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .dns_resolver(GuardedNames)
            .timeout(PATIENCE)
            .user_agent(concat!("constellation/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { client: client.map_err(|error| words(&error).into()), cluster: cluster.into() }
    }

    /// What is sent of a notice.
    pub(crate) fn payload(&self, notice: &Notice) -> Payload {
        Payload {
            kind: notice.kind.word().to_owned(),
            timestamp: notice.created_at,
            text: format!("{}: {}", self.cluster, notice.text),
            data: PayloadData { cluster: self.cluster.to_string(), notice: Some(notice.clone()) },
        }
    }

    /// What is sent to try a webhook out.
    pub(crate) fn test_payload(&self, now: Timestamp) -> Payload {
        Payload {
            kind: "test".to_owned(),
            timestamp: now,
            text: format!("{}: this is a test; notices will arrive here", self.cluster),
            data: PayloadData { cluster: self.cluster.to_string(), notice: None },
        }
    }

    /// One attempt.
    pub(crate) async fn send(
        &self,
        url: &str,
        secret: &str,
        id: DeliveryId,
        payload: &Payload,
    ) -> WebhookResult {
        let at = clock::now();
        let result = self.post(url, secret, id, at, payload).await;
        let (delivered, detail) = match result {
            Ok(response) => (response.status().is_success(), response.status().to_string()),
            Err(words) => (false, words),
        };
        WebhookResult { at, delivered, detail }
    }

    async fn post(
        &self,
        url: &str,
        secret: &str,
        id: DeliveryId,
        at: Timestamp,
        payload: &Payload,
    ) -> Result<Response, String> {
        let client = self.client.as_ref().map_err(ToString::to_string)?;
        let url = check_url(url).map_err(|fault| fault.to_string())?;
        let body = serde_json::to_string(payload).map_err(|error| error.to_string())?;
        let (id, seconds) = (id.to_string(), at.as_millis() / 1000);
        let signed = signature(secret, &id, seconds, &body).ok_or("its secret is not one")?;
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, id)
            .header(TIMESTAMP_HEADER, seconds)
            .header(SIGNATURE_HEADER, signed)
            .body(body);
        request.send().await.map_err(|error| {
            if error.is_timeout() {
                return format!("no answer within {} s", PATIENCE.as_secs());
            }
            // The address may hold a secret of the receiver's.
            words(&error.without_url())
        })
    }
}

/// An error with its causes, the outermost first.
fn words(error: &dyn Error) -> String {
    let (mut words, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
