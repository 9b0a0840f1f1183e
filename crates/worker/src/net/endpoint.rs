//! HTTP client for one coordinator: an address, a pin and, if a proxy is set, a tunnel.

use std::time::Duration;

use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};

use super::address::Address;
use super::pinned_tls::trusted;
use super::proxy;
use super::response::RequestError;
use super::tunnel::TunnelError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence on a connection with open requests after which an HTTP/2 ping is sent. A connection that a
/// router dropped gives no error by itself.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Endpoint {
    url: String,
    pin: Pin,
    /// Start of every request's URL.
    base: String,
    http: reqwest::Client,
    /// Error of the last connection through a proxy, if connections go through one.
    tunnel_error: Option<TunnelError>,
    address: Address,
}

impl Endpoint {
    /// Returns the cached endpoint if it is for `url` and `pin` and still uses the right proxy. Otherwise
    /// replaces it, which closes its connections.
    pub(crate) fn cached(
        cache: &mut Option<Self>,
        url: String,
        pin: Pin,
    ) -> Result<&Self, RequestError> {
        match cache.take() {
            Some(same) if same.url == url && same.pin == pin && same.is_current() => {
                Ok(cache.insert(same))
            }
            Some(_) | None => Ok(cache.insert(Self::new(url, pin)?)),
        }
    }

    fn new(url: String, pin: Pin) -> Result<Self, RequestError> {
        let address: Address = url.parse()?;
        let mut headers = HeaderMap::new();
        if let Ok(name) = HeaderName::from_bytes(PROTOCOL_HEADER.as_bytes()) {
            headers.insert(name, HeaderValue::from(PROTOCOL_VERSION));
        }
        let builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("constellation/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(15))
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .pool_max_idle_per_host(2);
        let tls_error = |error: &dyn std::error::Error| {
            RequestError::Unreachable(format!("can't set up TLS: {error}"))
        };
        let trusted = trusted(builder, &address, pin);
        let (builder, tunnel_error) = trusted.map_err(|error| tls_error(&error))?;
        let http = builder.build().map_err(|error| tls_error(&error))?;
        Ok(Self { url, pin, base: address.base(), http, tunnel_error, address })
    }

    fn is_current(&self) -> bool {
        self.tunnel_error.is_some() == proxy::may_apply(&self.address)
    }

    /// Replaces the error by the tunnel's error if the connection failed in the tunnel.
    pub(crate) fn explained(&self, error: RequestError) -> RequestError {
        match &self.tunnel_error {
            Some(tunnel_error) => error.explained_by(tunnel_error),
            None => error,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::net::client::Client;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn nothing_is_sent_to_a_coordinator_with_another_key() {
        let steps = || vec![Step::answer("204 No Content", "", b"")];
        let (server, other) = (Server::start(steps()).await, Server::start(steps()).await);
        let (found, coordinator) = watch::channel(Some(other.url.clone()));
        let client = Client::new(coordinator, Some(server.pin));
        client.set_token(Some("secret".into()));
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::WrongPin(_)), "{error}");
        let message = error.to_string();
        for expected in [&other.url, &other.pin.to_string(), &server.pin.to_string()] {
            assert!(message.contains(expected), "{message}");
        }
        assert!(
            message.contains("new join code") && message.contains("administrator"),
            "{message}"
        );
        assert!(other.requests().is_empty());
        // The same client reaches the right coordinator once its address is known.
        assert!(error.is_transient());
        found.send_replace(Some(server.url.clone()));
        client.next_job(device()).await.unwrap();
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn plain_http_and_no_pin_are_refused_before_anything_is_sent() {
        let server = Server::start(vec![]).await;
        let plain = server.url.replace("https", "http");
        let client = Client::new(watch::channel(Some(plain)).1, Some(server.pin));
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::Address(_)), "{error}");
        let client = Client::new(watch::channel(Some(server.url.clone())).1, None);
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::NoPin), "{error}");
    }
}
