//! Responses of the coordinator: parsed answers, and the one error type of requests.

use std::time::Duration;

use protocol::Problem;
use protocol::lease::Lease;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::address::InvalidAddress;
use super::pinned_tls::WrongPin;
use super::tunnel::TunnelError;

/// Maximum size of a JSON answer in bytes. A lease with its model spec has a few thousand.
const MAXIMUM_ANSWER: usize = 4 << 20;

pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// Answer to a request for work.
pub(crate) enum NextJob {
    Lease(Box<Lease>),
    Nothing { retry_after: Duration },
}

/// Answer to a request for a blob.
pub(crate) enum Download {
    /// The blob's bytes from offset `start` on.
    From { start: u64, response: Response },
    /// The requested offset is behind the end of the blob.
    OutOfRange,
}

/// State of an upload at the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadStatus {
    /// Bytes that have arrived.
    pub(crate) offset: u64,
    pub(crate) complete: bool,
}

/// Answer to sending a blob's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadResult {
    Complete,
    /// The coordinator expects the bytes from another offset.
    OtherOffset {
        offset: u64,
    },
    /// All bytes arrived, but their hash is wrong. The coordinator dropped them.
    Damaged,
}

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("no coordinator has been found yet")]
    NoCoordinator,
    /// Without a pin no server can be trusted.
    #[error(
        "the pin of the coordinator is not known: give it with --pin, or join with a join code"
    )]
    NoPin,
    /// No connection, a broken one, or no answer in time.
    #[error("the coordinator can't be reached: {0}")]
    Unreachable(String),
    /// Retried, because the network or the coordinator may be repaired.
    #[error(transparent)]
    WrongPin(Box<WrongPin>),
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// A server error (5xx), 408 or 429: temporary.
    #[error("the coordinator is temporarily unavailable: {problem}")]
    ServerError { problem: Problem, retry_after: Option<Duration> },
    /// Another client error (4xx): permanent.
    #[error("the coordinator refused: {0}")]
    Refused(Problem),
    /// The answer does not follow the protocol.
    #[error("the coordinator's answer is not valid: {0}")]
    InvalidResponse(String),
}

impl RequestError {
    /// Whether the same request may succeed later.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::NoCoordinator
            | Self::Unreachable(_)
            | Self::WrongPin(_)
            | Self::Address(_)
            | Self::ServerError { .. } => true,
            Self::NoPin | Self::Refused(_) | Self::InvalidResponse(_) => false,
        }
    }

    /// Whether the coordinator rejected this device's token.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 401)
    }

    /// Returns the problem if the coordinator no longer accepts this device: its token is rejected, or it
    /// is revoked or unknown. Other refusals, such as an unknown path, return `None`.
    pub(crate) fn unenrolled_by(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => {
                let kind = matches!(problem.kind.as_str(), "device-revoked" | "unknown-device");
                (problem.status == 401 || kind).then_some(problem)
            }
            Self::NoCoordinator
            | Self::NoPin
            | Self::Unreachable(_)
            | Self::WrongPin(_)
            | Self::Address(_)
            | Self::ServerError { .. }
            | Self::InvalidResponse(_) => None,
        }
    }

    /// Replaces the message of an unreachable coordinator by the tunnel's last error, which names the
    /// cause.
    pub(crate) fn explained_by(self, tunnel: &TunnelError) -> Self {
        match (self, tunnel.message()) {
            (Self::Unreachable(_), Some(message)) => Self::Unreachable(message),
            (error, _) => error,
        }
    }

    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ServerError { retry_after, .. } => *retry_after,
            Self::NoCoordinator
            | Self::NoPin
            | Self::Unreachable(_)
            | Self::WrongPin(_)
            | Self::Address(_)
            | Self::Refused(_)
            | Self::InvalidResponse(_) => None,
        }
    }
}

/// Sends a request with a time limit. A status other than 2xx is an error.
pub(crate) async fn answer(
    request: RequestBuilder,
    limit: Duration,
) -> Result<Response, RequestError> {
    let response = request.timeout(limit).send().await.map_err(|error| unreachable(&error))?;
    if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
}

pub(crate) async fn json<T: DeserializeOwned>(response: Response) -> Result<T, RequestError> {
    let bytes = bounded(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| RequestError::InvalidResponse(error.to_string()))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, RequestError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + piece.len() > MAXIMUM_ANSWER {
            let message = format!("it is longer than {} MiB", MAXIMUM_ANSWER >> 20);
            return Err(RequestError::InvalidResponse(message));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Converts a response with an error status.
pub(crate) async fn refusal(response: Response) -> RequestError {
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = bounded(response).await.unwrap_or_default();
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let title = status.canonical_reason().unwrap_or("unknown status");
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        Problem::new(status.as_u16(), "unknown", title, format!("{status} {text}").trim())
    });
    let temporary = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if status.is_server_error() || temporary {
        RequestError::ServerError { problem, retry_after }
    } else {
        RequestError::Refused(problem)
    }
}

/// Converts a transport error, with its causes. The message leaves out reqwest's own text, which names the
/// pinned server's constant host name instead of the address.
pub(crate) fn unreachable(error: &reqwest::Error) -> RequestError {
    if let Some(wrong) = WrongPin::behind(error) {
        return RequestError::WrongPin(Box::new(wrong));
    }
    let what = if error.is_timeout() { "no answer in time" } else { "the connection failed" };
    let mut text = what.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    RequestError::Unreachable(text)
}

pub(crate) fn timed_out() -> RequestError {
    RequestError::Unreachable("no answer in time".into())
}

pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    number(response, &RETRY_AFTER).map(Duration::from_secs)
}

/// Reads the header `Content-Length`: an answer to HEAD has no body to measure.
pub(crate) fn content_length(response: &Response) -> Option<u64> {
    number(response, &CONTENT_LENGTH)
}

pub(crate) fn upload_offset(response: &Response) -> Option<u64> {
    number(response, &UPLOAD_OFFSET)
}

fn number(response: &Response, header: &HeaderName) -> Option<u64> {
    response.headers().get(header)?.to_str().ok()?.trim().parse().ok()
}

/// Returns FIRST of `Content-Range: bytes FIRST-LAST/ALL`.
pub(crate) fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
