//! The way to the coordinator: a client for where it is and whose key it has.

use std::time::Duration;

use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};

use crate::pinned_tls::{Address, trusted};
use crate::proxy;
use crate::response::RequestError;
use crate::tunnel::TunnelError;

/// For a connection to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// After so long without a word, while something is asked, the coordinator is asked whether it is
/// there: a connection that the network forgot gives no error.
const ASK: Duration = Duration::from_secs(20);
/// For its answer.
const ANSWER: Duration = Duration::from_secs(20);

pub(crate) struct Endpoint {
    url: String,
    pin: Pin,
    /// What a request's URL begins with.
    base: String,
    http: reqwest::Client,
    /// What a proxy did, where one has a say in the way.
    trouble: Option<TunnelError>,
    address: Address,
}

impl Endpoint {
    /// The way that is kept where it leads to `url` and trusts `pin`, else a new one; a new one too
    /// where proxies came or went.
    pub(crate) fn kept(
        kept: &mut Option<Self>,
        url: String,
        pin: Pin,
    ) -> Result<&Self, RequestError> {
        match kept.take() {
            Some(same) if same.url == url && same.pin == pin && same.is_current() => {
                Ok(kept.insert(same))
            }
            // Connections to where it was are of no use any more.
            Some(_) | None => Ok(kept.insert(Self::new(url, pin)?)),
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
            .connect_timeout(CONNECT)
            .tcp_keepalive(Duration::from_secs(15))
            .http2_keep_alive_interval(ASK)
            .http2_keep_alive_timeout(ANSWER)
            .pool_max_idle_per_host(2);
        let impossible = |error: &dyn std::error::Error| {
            RequestError::Unreachable(format!("can't set up TLS: {error}"))
        };
        let trusted = trusted(builder, &address, pin);
        let (builder, trouble) = trusted.map_err(|error| impossible(&error))?;
        let http = builder.build().map_err(|error| impossible(&error))?;
        Ok(Self { url, pin, base: address.base(), http, trouble, address })
    }

    fn is_current(&self) -> bool {
        self.trouble.is_some() == proxy::may_be(&self.address)
    }

    /// The error, in the proxy's words where it failed by that.
    pub(crate) fn explained(&self, error: RequestError) -> RequestError {
        match &self.trouble {
            Some(trouble) => trouble.explained(error),
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
    use crate::client::Client;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn a_coordinator_with_another_key_is_told_nothing() {
        let steps = || vec![Step::answer("204 No Content", "", b"")];
        let (server, other) = (Server::start(steps()).await, Server::start(steps()).await);
        let (found, coordinator) = watch::channel(Some(other.url.clone()));
        let client = Client::new(coordinator, Some(server.pin));
        client.set_token(Some("secret".into()));
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::WrongPin(_)), "{error}");
        let words = error.to_string();
        for told in [&other.url, &other.pin.to_string(), &server.pin.to_string()] {
            assert!(words.contains(told), "{words}");
        }
        assert!(words.contains("new join code") && words.contains("administrator"), "{words}");
        assert!(other.asked().is_empty());
        // Its own is found where it is, and the same client goes on.
        assert!(error.may_pass());
        found.send_replace(Some(server.url.clone()));
        client.next_job(device()).await.unwrap();
        assert_eq!(server.asked().len(), 1);
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
