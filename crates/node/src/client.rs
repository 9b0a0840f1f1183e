//! The coordinator's HTTP API as a command sees it.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Problem};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long an answer may take that isn't waited for on purpose.
const ANSWER_TIME: Duration = Duration::from_mins(1);

/// Why a coordinator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no coordinator is known: start one on this machine by `constellation coordinator`, or \
         name one by --coordinator http://HOST:PORT"
    )]
    NoAddress,
    #[error(
        "no token for the coordinator: set CONSTELLATION_TOKEN, or give --token (the \
         coordinator's own is in its data folder, in the file admin-token)"
    )]
    NoToken,
    #[error("can't read {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("'{0}' is not a coordinator's address such as http://127.0.0.1:8000")]
    Address(String),
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
    pub token: Option<String>,
    /// The coordinator's data folder, if it is on this machine.
    pub data_dir: PathBuf,
}

/// A coordinator that a command may ask.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    address: String,
    token: String,
}

impl Client {
    /// Takes what `access` gives, and the rest from the coordinator's folder on this machine.
    pub fn new(access: &Access) -> Result<Self, ClientError> {
        let address = match &access.address {
            Some(address) => address.clone(),
            None => read_file(&access.data_dir.join("address"))?.ok_or(ClientError::NoAddress)?,
        };
        let token = match &access.token {
            Some(token) => token.clone(),
            None => read_file(&access.data_dir.join("admin-token"))?.ok_or(ClientError::NoToken)?,
        };
        let is_url = reqwest::Url::parse(&address).is_ok_and(|url| url.has_host());
        if !is_url {
            return Err(ClientError::Address(address));
        }
        let address = address.trim_end_matches('/').to_owned();
        let http = http_client()
            .map_err(|source| ClientError::Unreachable { address: address.clone(), source })?;
        Ok(Self { http, address, token })
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
            .request(method, format!("{}{path}", self.address))
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
        ClientError::Broken { address: self.address.clone(), source }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        if source.is_connect() || source.is_timeout() {
            ClientError::Unreachable { address: self.address.clone(), source }
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
            | Self::Refused(_)
            | Self::Foreign { .. } => false,
        }
    }
}

fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    // The process may have one already, from the worker or the hub's client: any is good.
    drop(rustls::crypto::ring::default_provider().install_default());
    // A token must not go to a proxy that knows nothing of the local network.
    reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(10)).build()
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
}
