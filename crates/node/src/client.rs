//! Client of the coordinator's HTTP API, for commands.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::text::without_error_numbers;
use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin, Problem};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::pinned_tls::{Address, InvalidAddress, WrongPin, pinned, tls_error};
use worker::proxy::{self, ProxyRoute};

/// Timeout of ordinary requests; long polls and transfers have none or their own.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Error of a request to a coordinator.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no coordinator found. Start one on this machine with `constellation coordinator`, or pass the address of one with \
         --coordinator https://HOST:PORT"
    )]
    NoAddress,
    #[error(
        "no API token for the coordinator. Set CONSTELLATION_TOKEN or pass --token. The coordinator's admin token is in \
         the file admin-token in its data folder"
    )]
    NoToken,
    #[error("can't read {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    #[error("{0} would send the API token unencrypted. Use an https:// address")]
    Unencrypted(String),
    #[error(transparent)]
    Folder(#[from] coordinator::ClusterError),
    #[error(transparent)]
    WrongPin(Box<WrongPin>),
    #[error(
        "this machine does not trust the certificate of {address} ({reason}). Pass the coordinator's pin with --pin or \
         CONSTELLATION_PIN; the coordinator prints its pin when it starts"
    )]
    Untrusted { address: String, reason: rustls::Error },
    #[error("can't set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error(
        "no coordinator answers at {address} ({reason}). Start it with `constellation coordinator`, or pass another address with \
         --coordinator"
    )]
    Unreachable { address: String, reason: String },
    /// The connection broke in the middle of a response, for example because the coordinator was killed.
    #[error("the connection to the coordinator at {address} broke off ({reason}). Try again")]
    Broken { address: String, reason: String },
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error("{address} does not respond like a coordinator ({detail}). Check the address")]
    Foreign { address: String, detail: String },
}

/// Address and credentials for a coordinator.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// URL of the coordinator; `None` selects the coordinator in `data_dir`.
    pub address: Option<String>,
    /// Pin of its key. Without one, the pin of the coordinator in `data_dir` is used for its own address, and the system's
    /// certificate store for other addresses.
    pub pin: Option<Pin>,
    pub token: Option<String>,
    /// Data folder of a coordinator on this machine.
    pub data_dir: PathBuf,
}

/// Connection to a coordinator.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Address as the user writes it.
    address: String,
    /// Base URL of requests.
    base: String,
    token: String,
}

impl Client {
    /// Connects with the values of `access`; missing ones are read from the coordinator's folder on this machine.
    pub fn new(access: &Access) -> Result<Self, ClientError> {
        let own = read_file(&access.data_dir.join("address"))?;
        let address = access.address.as_ref().or(own.as_ref()).ok_or(ClientError::NoAddress)?;
        let pin = match access.pin {
            None if own.as_ref() == Some(address) => coordinator::pin_of(&access.data_dir)?,
            pin => pin,
        };
        let token = match &access.token {
            Some(token) => token.clone(),
            None => read_file(&access.data_dir.join("admin-token"))?.ok_or(ClientError::NoToken)?,
        };
        let address = address.trim_end_matches('/').to_owned();
        let (builder, base) = client_builder(&address, pin)?;
        let http = builder.build().map_err(|error| ClientError::Unreachable {
            address: address.clone(),
            reason: root_cause(&error),
        })?;
        Ok(Self { http, address, base, token })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path).timeout(REQUEST_TIMEOUT);
        self.decode(self.send(request).await?).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, path).json(body).timeout(REQUEST_TIMEOUT);
        self.decode(self.send(request).await?).await
    }

    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::PATCH, path).json(body).timeout(REQUEST_TIMEOUT);
        self.decode(self.send(request).await?).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, path).timeout(REQUEST_TIMEOUT)).await.map(drop)
    }

    /// Builds a request with the protocol and authorization headers, without a timeout.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(PROTOCOL_HEADER, PROTOCOL_VERSION)
            .bearer_auth(&self.token)
    }

    /// Sends a request. Returns the response if its status is a success.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|source| self.send_error(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|source| self.interrupted(source))?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(self.foreign(status_message(status))),
        }
    }

    /// Parses the JSON body of a response.
    pub async fn decode<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let body = response.bytes().await.map_err(|source| self.interrupted(source))?;
        serde_json::from_slice(&body).map_err(|error| {
            tracing::debug!(%error, "can't parse a response");
            self.foreign("unexpected response")
        })
    }

    /// Returns the error for a connection that broke in the middle of a response.
    pub fn interrupted(&self, source: reqwest::Error) -> ClientError {
        ClientError::Broken {
            address: self.address.clone(),
            reason: root_cause(&source.without_url()),
        }
    }

    fn send_error(&self, source: reqwest::Error) -> ClientError {
        if let Some(wrong) = WrongPin::behind(&source) {
            return ClientError::WrongPin(Box::new(wrong));
        }
        let address = self.address.clone();
        if let Some(reason @ rustls::Error::InvalidCertificate(_)) = tls_error(&source) {
            return ClientError::Untrusted { address, reason: reason.clone() };
        }
        if source.is_connect() || source.is_timeout() {
            ClientError::Unreachable { address, reason: root_cause(&source.without_url()) }
        } else {
            self.interrupted(source)
        }
    }

    fn foreign(&self, detail: impl Display) -> ClientError {
        ClientError::Foreign { address: self.address.clone(), detail: detail.to_string() }
    }
}

impl ClientError {
    /// Whether the same request may succeed once the coordinator is reachable again.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::NoAddress
            | Self::NoToken
            | Self::File { .. }
            | Self::Address(_)
            | Self::Unencrypted(_)
            | Self::Folder(_)
            | Self::WrongPin(_)
            | Self::Untrusted { .. }
            | Self::Tls(_)
            | Self::Refused(_)
            | Self::Foreign { .. } => false,
        }
    }
}

/// Returns a client builder for the address and the base URL of its requests.
fn client_builder(address: &str, pin: Option<Pin>) -> Result<(ClientBuilder, String), ClientError> {
    // The worker's proxy module selects the proxy, not reqwest.
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(10));
    let url = reqwest::Url::parse(address).ok().filter(reqwest::Url::has_host);
    match (url.as_ref().map(reqwest::Url::scheme), pin) {
        (Some("https"), Some(pin)) => {
            let address: Address = address.parse()?;
            Ok((pinned(builder, &address, pin)?, address.base()))
        }
        (Some("https"), None) => {
            // Fails if the worker or the hub client has installed a provider already, which is fine.
            drop(rustls::crypto::ring::default_provider().install_default());
            let builder = match address.parse().map(|address| proxy::route(&address)) {
                Ok(ProxyRoute::Through(proxy)) => builder
                    .proxy(proxy.for_client().map_err(|_| InvalidAddress(format!("{proxy}")))?),
                // An address with a path can't be parsed, but can lead to a coordinator behind a reverse proxy.
                Ok(ProxyRoute::Direct(_) | ProxyRoute::Unusable(_)) | Err(_) => builder,
            };
            Ok((builder.https_only(true), address.to_owned()))
        }
        (Some("http"), _) if url.as_ref().is_some_and(is_this_machine) => {
            drop(rustls::crypto::ring::default_provider().install_default());
            Ok((builder, address.to_owned()))
        }
        (Some("http"), _) => Err(ClientError::Unencrypted(address.to_owned())),
        (Some(_) | None, _) => Err(InvalidAddress(address.to_owned()).into()),
    }
}

fn is_this_machine(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Returns the innermost cause, such as `Connection refused`; reqwest's own messages only name the step that failed.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    without_error_numbers(&cause.to_string())
}

fn read_file(path: &Path) -> Result<Option<String>, ClientError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClientError::File { path: path.to_owned(), source }),
    }
}

fn status_message(status: StatusCode) -> String {
    format!("HTTP status {status}")
}

/// Percent-encodes a name for use in a path or query.
pub fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text = format!("{text}%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_for_paths_and_queries() {
        assert_eq!(escaped("ag-news_1.0"), "ag-news_1.0");
        assert_eq!(escaped("a b/ü?"), "a%20b%2F%C3%BC%3F");
    }

    #[test]
    fn plain_http_is_accepted_for_this_machine_only() {
        for local in ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"] {
            assert!(client_builder(local, None).is_ok(), "{local}");
        }
        for remote in ["http://192.0.2.7:8000", "http://lab.example", "http://127.0.0.1.example"] {
            let error = client_builder(remote, None).err().unwrap();
            assert!(matches!(error, ClientError::Unencrypted(_)), "{error}");
        }
        for wrong in ["", "192.0.2.7:8000", "ftp://192.0.2.7"] {
            let error = client_builder(wrong, None).err().unwrap();
            assert!(matches!(error, ClientError::Address(_)), "{error}");
        }
    }
}
