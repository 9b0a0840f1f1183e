//! The coordinator's HTTP API as a command sees it.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin, Problem};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::pinned_tls::{Address, InvalidAddress, WrongPin, pinned, tls_error};
use worker::proxy::{self, ProxyRoute};

/// How long an answer may take that isn't waited for on purpose.
const ANSWER_TIME: Duration = Duration::from_mins(1);

/// Why a coordinator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no coordinator is known: start one on this machine by `constellation coordinator`, or \
         name one by --coordinator https://HOST:PORT"
    )]
    NoAddress,
    #[error(
        "no token for the coordinator: set CONSTELLATION_TOKEN, or give --token (the \
         coordinator's own is in its data folder, in the file admin-token)"
    )]
    NoToken,
    #[error("can't read {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    #[error("{0} would send a token unencrypted: begin the address with https://")]
    Unencrypted(String),
    #[error(transparent)]
    Folder(#[from] coordinator::ClusterError),
    #[error(transparent)]
    WrongPin(Box<WrongPin>),
    #[error(
        "this machine does not trust the certificate at {address} ({reason}): give the \
         coordinator's pin by --pin or CONSTELLATION_PIN (it prints it when it starts)"
    )]
    Untrusted { address: String, reason: rustls::Error },
    #[error("can't set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error(
        "no coordinator answers at {address}: start it by `constellation coordinator`, or give \
         its address by --coordinator"
    )]
    Unreachable { address: String, source: reqwest::Error },
    /// Also where it dies in the middle of an answer.
    #[error("the answer of the coordinator at {address} broke off: {source}")]
    Broken { address: String, source: reqwest::Error },
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error("{address} does not answer as a coordinator does: {detail}; is the address right?")]
    Foreign { address: String, detail: String },
}

/// How a command finds its coordinator and shows who it is.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Its URL, where someone gave it.
    pub address: Option<String>,
    /// Of its key; none takes that of the coordinator in the data folder, and elsewhere what the
    /// system trusts.
    pub pin: Option<Pin>,
    pub token: Option<String>,
    /// The coordinator's data folder, if it is on this machine.
    pub data_dir: PathBuf,
}

/// A coordinator that a command may ask.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// As people write it.
    address: String,
    /// What requests begin with.
    base: String,
    token: String,
}

impl Client {
    /// Takes what `access` gives, and the rest from the coordinator's folder on this machine.
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
        let (builder, base) = reach(&address, pin)?;
        let http = builder
            .build()
            .map_err(|source| ClientError::Unreachable { address: address.clone(), source })?;
        Ok(Self { http, address, base, token })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path).timeout(ANSWER_TIME);
        self.decode(self.send(request).await?).await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, path).json(body).timeout(ANSWER_TIME);
        self.decode(self.send(request).await?).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, path).timeout(ANSWER_TIME)).await.map(drop)
    }

    /// A request with our headers, without a limit in time.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(PROTOCOL_HEADER, PROTOCOL_VERSION)
            .bearer_auth(&self.token)
    }

    /// The answer, once its status says that it is one.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|source| self.broken(source))?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(self.foreign(describe(status))),
        }
    }

    /// The body of an answer.
    pub async fn decode<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let body = response.bytes().await.map_err(|source| self.broken(source))?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(error))
    }

    /// What a failure in the middle of a body is.
    pub fn broken(&self, source: reqwest::Error) -> ClientError {
        ClientError::Broken { address: self.address.clone(), source: source.without_url() }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        if let Some(wrong) = WrongPin::behind(&source) {
            return ClientError::WrongPin(Box::new(wrong));
        }
        let address = self.address.clone();
        if let Some(reason @ rustls::Error::InvalidCertificate(_)) = tls_error(&source) {
            return ClientError::Untrusted { address, reason: reason.clone() };
        }
        if source.is_connect() || source.is_timeout() {
            ClientError::Unreachable { address, source: source.without_url() }
        } else {
            self.broken(source)
        }
    }

    fn foreign(&self, detail: impl Display) -> ClientError {
        ClientError::Foreign { address: self.address.clone(), detail: detail.to_string() }
    }
}

impl ClientError {
    /// Whether the same request may succeed once the coordinator is back.
    pub const fn is_passing(&self) -> bool {
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

/// A client for the address, and what its requests begin with.
fn reach(address: &str, pin: Option<Pin>) -> Result<(ClientBuilder, String), ClientError> {
    // Which proxy sees what is decided in one place, not by the client.
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(10));
    let url = reqwest::Url::parse(address).ok().filter(reqwest::Url::has_host);
    match (url.as_ref().map(reqwest::Url::scheme), pin) {
        (Some("https"), Some(pin)) => {
            let address: Address = address.parse()?;
            Ok((pinned(builder, &address, pin)?, address.base()))
        }
        (Some("https"), None) => {
            // The process may have one already, from the worker or the hub's client: any is good.
            drop(rustls::crypto::ring::default_provider().install_default());
            let builder = match address.parse().map(|address| proxy::way(&address)) {
                Ok(ProxyRoute::Through(proxy)) => builder
                    .proxy(proxy.for_client().map_err(|_| InvalidAddress(format!("{proxy}")))?),
                // Behind a path there may be a coordinator too.
                Ok(ProxyRoute::Straight(_) | ProxyRoute::Unusable(_)) | Err(_) => builder,
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

fn read_file(path: &Path) -> Result<Option<String>, ClientError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClientError::File { path: path.to_owned(), source }),
    }
}

fn describe(status: StatusCode) -> String {
    format!("status {status}")
}

/// A name as one part of a path or query.
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
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(escaped("ag-news_1.0"), "ag-news_1.0");
        assert_eq!(escaped("a b/ü?"), "a%20b%2F%C3%BC%3F");
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for here in ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"] {
            assert!(reach(here, None).is_ok(), "{here}");
        }
        for afar in ["http://192.0.2.7:8000", "http://lab.example", "http://127.0.0.1.example"] {
            let error = reach(afar, None).err().unwrap();
            assert!(matches!(error, ClientError::Unencrypted(_)), "{error}");
        }
        for wrong in ["", "192.0.2.7:8000", "ftp://192.0.2.7"] {
            let error = reach(wrong, None).err().unwrap();
            assert!(matches!(error, ClientError::Address(_)), "{error}");
        }
    }
}
