//! Webhook sender: posts a delivery over HTTP, without redirects or a proxy.

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

/// Timeout of one attempt.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends notices to webhooks. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct WebhookSender {
    /// The HTTP client, or the error of making it: a coordinator works without one.
    client: Result<Client, Arc<str>>,
    /// The cluster's name.
    cluster: Arc<str>,
}

impl WebhookSender {
    pub(crate) fn new(cluster: &str) -> Self {
        // Fails only if the process has a provider already, which is fine.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .dns_resolver(GuardedNames)
            .timeout(RESPONSE_TIMEOUT)
            .user_agent(concat!("constellation/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { client: client.map_err(|error| with_causes(&error).into()), cluster: cluster.into() }
    }

    /// Returns the payload for a notice.
    pub(crate) fn payload(&self, notice: &Notice) -> Payload {
        Payload {
            kind: notice.kind.word().to_owned(),
            timestamp: notice.created_at,
            text: format!("{}: {}", self.cluster, notice.text),
            data: PayloadData { cluster: self.cluster.to_string(), notice: Some(notice.clone()) },
        }
    }

    /// Returns the payload of a test delivery.
    pub(crate) fn test_payload(&self, now: Timestamp) -> Payload {
        Payload {
            kind: "test".to_owned(),
            timestamp: now,
            text: format!("{}: this is a test; notices will arrive here", self.cluster),
            data: PayloadData { cluster: self.cluster.to_string(), notice: None },
        }
    }

    /// Makes one attempt and returns its result.
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
            Err(error) => (false, error),
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
        let url = check_url(url).map_err(|error| error.to_string())?;
        let body = serde_json::to_string(payload).map_err(|error| error.to_string())?;
        let (id, seconds) = (id.to_string(), at.as_millis() / 1000);
        let signed = signature(secret, &id, seconds, &body)
            .ok_or("the webhook's secret is malformed; set a new one")?;
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, id)
            .header(TIMESTAMP_HEADER, seconds)
            .header(SIGNATURE_HEADER, signed)
            .body(body);
        request.send().await.map_err(|error| {
            if error.is_timeout() {
                return format!("no answer within {} s", RESPONSE_TIMEOUT.as_secs());
            }
            // The URL may contain a secret.
            with_causes(&error.without_url())
        })
    }
}

/// Formats an error with its causes, the outermost first.
fn with_causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
