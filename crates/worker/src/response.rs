//! What came back from the coordinator, judged: an answer, or one closed error.

use std::time::Duration;

use protocol::Problem;
use protocol::lease::Lease;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::pinned_tls::{InvalidAddress, WrongPin};

/// Bytes of a JSON answer; a lease with its model spec is a few thousand.
const LONGEST_ANSWER: usize = 4 << 20;

pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");

/// Answer to asking for work.
pub(crate) enum NextJob {
    Lease(Box<Lease>),
    Nothing { retry_after: Duration },
}

/// A blob on its way here.
pub(crate) enum Download {
    /// Bytes from `start` on.
    From { start: u64, response: Response },
    /// There are no bytes where the rest was asked for.
    OutOfRange,
}

/// How much of a blob the coordinator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) offset: u64,
    pub(crate) complete: bool,
}

/// What became of bytes that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Whole,
    /// The coordinator goes on from elsewhere.
    Elsewhere {
        offset: u64,
    },
    /// All bytes arrived and are not the blob; they were dropped.
    Damaged,
}

/// Why a request gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("no coordinator has been found yet")]
    NoCoordinator,
    /// Nobody could prove to be the coordinator.
    #[error("no pin of the coordinator's key is known: give it with --pin, or join by a code")]
    NoPin,
    /// No connection, a broken one, or no answer in time.
    #[error("the coordinator can't be reached: {0}")]
    Unreachable(String),
    /// It may be gone when the network or the coordinator is set right: asked again, and told.
    #[error(transparent)]
    WrongPin(Box<WrongPin>),
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// It answered that it can't just now.
    #[error("the coordinator can't just now: {problem}")]
    Unwell { problem: Problem, retry_after: Option<Duration> },
    /// It answered that it won't.
    #[error("the coordinator refused: {0}")]
    Refused(Problem),
    /// It answered something else than the protocol says.
    #[error("the coordinator's answer makes no sense: {0}")]
    Nonsense(String),
}

impl RequestError {
    /// Whether the same request may be answered later.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::NoCoordinator
            | Self::Unreachable(_)
            | Self::WrongPin(_)
            | Self::Address(_)
            | Self::Unwell { .. } => true,
            Self::NoPin | Self::Refused(_) | Self::Nonsense(_) => false,
        }
    }

    /// The coordinator doesn't know, or doesn't want, this device's token.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 401)
    }

    /// The problem by which the coordinator lets this device go; none where something else is wrong,
    /// such as a path that whoever answers doesn't know.
    pub(crate) fn lets_go(&self) -> Option<&Problem> {
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
            | Self::Unwell { .. }
            | Self::Nonsense(_) => None,
        }
    }

    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unwell { retry_after, .. } => *retry_after,
            Self::NoCoordinator
            | Self::NoPin
            | Self::Unreachable(_)
            | Self::WrongPin(_)
            | Self::Address(_)
            | Self::Refused(_)
            | Self::Nonsense(_) => None,
        }
    }
}

pub(crate) async fn answer(
    request: RequestBuilder,
    limit: Duration,
) -> Result<Response, RequestError> {
    let response = request.timeout(limit).send().await.map_err(|error| unreachable(&error))?;
    if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
}

pub(crate) async fn json<T: DeserializeOwned>(response: Response) -> Result<T, RequestError> {
    let bytes = bounded(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(error.to_string()))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, RequestError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + piece.len() > LONGEST_ANSWER {
            return Err(RequestError::Nonsense("an answer without end".into()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

pub(crate) async fn refusal(response: Response) -> RequestError {
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = bounded(response).await.unwrap_or_default();
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let title = status.canonical_reason().unwrap_or("unknown status");
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        Problem::new(status.as_u16(), "unknown", title, format!("{status} {text}").trim())
    });
    let later = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if status.is_server_error() || later {
        RequestError::Unwell { problem, retry_after }
    } else {
        RequestError::Refused(problem)
    }
}

/// The error with its causes: reqwest's own words don't say what is wrong, and name a host that
/// nobody knows.
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

pub(crate) fn late() -> RequestError {
    RequestError::Unreachable("no answer in time".into())
}

pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    number(response, &RETRY_AFTER).map(Duration::from_secs)
}

/// What the header says: an answer to HEAD has no body to measure.
pub(crate) fn content_length(response: &Response) -> Option<u64> {
    number(response, &CONTENT_LENGTH)
}

pub(crate) fn upload_offset(response: &Response) -> Option<u64> {
    number(response, &UPLOAD_OFFSET)
}

fn number(response: &Response, header: &HeaderName) -> Option<u64> {
    response.headers().get(header)?.to_str().ok()?.trim().parse().ok()
}

/// The first position of `Content-Range: bytes FIRST-LAST/ALL`.
pub(crate) fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
