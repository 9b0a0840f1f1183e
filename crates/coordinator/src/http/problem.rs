//! Every error answer: RFC 9457 problem details that say what to change.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use federation::machine::Rejection;
use protocol::Problem;
use protocol::dataset::{FileProblem, RowProblem};
use protocol::job::JobError;

use crate::blobs::{NoRoom, UploadFault, is_full};
use crate::driver::{Refusal, StepFault};
use crate::store::StoreError;

/// An error answer on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    hint: Option<Hint>,
}

/// What is said beside it, in a header or further members.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hint {
    /// For uploads: bytes that are stored.
    Offset(u64),
    /// Seconds after which it may go better.
    RetryAfter(u64),
    /// For files.
    Rows(Box<BadRows>),
}

/// Rows that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BadRows {
    count: u64,
    first: Vec<RowProblem>,
}

/// What handlers give.
pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(
        status: StatusCode,
        kind: &str,
        title: &str,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Problem::new(status.as_u16(), kind, title, detail);
        Self { problem, hint: None }
    }

    pub(crate) fn at(mut self, field: &str) -> Self {
        self.problem = self.problem.at(field);
        self
    }

    pub(crate) fn not_found(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, kind, "Not found", detail)
    }

    /// A request that was understood and can't be right.
    pub(crate) fn invalid(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, "Invalid request", detail)
    }

    pub(crate) fn bad_request(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, "Bad request", detail)
    }

    pub(crate) fn conflict(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "Conflict", detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
    }

    /// Too many credentials that don't count; nothing else is heard for so long.
    pub(crate) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = "too many credentials from this address did not count; wait, and see which \
                      program there shows an old one";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let failure = Self::new(status, "too-many-failures", "Too many failures", detail);
        Self { hint: Some(Hint::RetryAfter(seconds)), ..failure }
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    pub(crate) fn disk_full() -> Self {
        Self::no_room(
            "the coordinator's disk is full: free some space there and try again; \
             nothing that was acknowledged is lost",
        )
    }

    fn no_room(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", "Disk full", detail)
    }

    pub(crate) fn with_rows(mut self, count: u64, first: Vec<RowProblem>) -> Self {
        self.hint = Some(Hint::Rows(Box::new(BadRows { count, first })));
        self
    }

    fn with_offset(mut self, offset: u64) -> Self {
        self.hint = Some(Hint::Offset(offset));
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.problem.status >= 500 {
            tracing::warn!(kind = self.problem.kind, "{}", self.problem.detail);
        }
        let status = StatusCode::from_u16(self.problem.status);
        let body = match &self.hint {
            Some(Hint::Rows(bad)) => serde_json::to_vec(&FileProblem {
                problem: self.problem.clone(),
                bad_rows: bad.count,
                rows: bad.first.clone(),
            }),
            Some(Hint::Offset(_) | Hint::RetryAfter(_)) | None => serde_json::to_vec(&self.problem),
        };
        let body = body.unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, kind, body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        match self.hint {
            Some(Hint::Offset(offset)) => drop(headers.insert("upload-offset", offset.into())),
            Some(Hint::RetryAfter(seconds)) => {
                headers.insert(header::RETRY_AFTER, seconds.into());
            }
            Some(Hint::Rows(..)) | None => {}
        }
        response
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<NoRoom>()) {
            return Self::no_room(reason.to_string());
        }
        if is_full(&error) {
            return Self::disk_full();
        }
        Self::internal(format!("the coordinator's disk: {error}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::disk_full(),
            StoreError::Newer { .. } | StoreError::Sqlite(_) | StoreError::Unreadable { .. } => {
                Self::internal(error.to_string())
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let words = refusal.to_string();
        match refusal {
            Refusal::Store(error) => error.into(),
            Refusal::Rejected(rejection) => rejected(&rejection, words),
            Refusal::UnknownJob(_) => Self::not_found("unknown-job", words),
            Refusal::UnknownDevice(_) => Self::not_found("unknown-device", words),
            Refusal::UnknownLease(_) => Self::not_found("unknown-lease", words),
            Refusal::UnknownModel(_) => Self::not_found("unknown-model", words),
            Refusal::UnknownToken(_) => Self::not_found("unknown-token", words),
            Refusal::UnknownSignInCode => {
                Self::new(StatusCode::UNAUTHORIZED, "sign-in-code", "Unauthorized", words)
            }
            Refusal::UnknownSession => Self::not_found("unknown-session", words),
            Refusal::LastAdmin => Self::conflict("last-admin", words),
            Refusal::Revoked => {
                Self::new(StatusCode::FORBIDDEN, "device-revoked", "Forbidden", words)
            }
            Refusal::CopiedKey { .. } => Self::conflict("copied-key", words),
            Refusal::AtWork { .. } => Self::conflict("device-at-work", words),
            Refusal::SecondSession { .. } => Self::conflict("second-session", words),
            Refusal::UnknownJoinCode(_) => Self::not_found("unknown-join-code", words),
            Refusal::WrongJoinCode => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-join-code", "Unauthorized", words)
            }
            Refusal::JoinCode(_) => {
                Self::new(StatusCode::FORBIDDEN, "join-code-not-open", "Forbidden", words)
            }
            Refusal::NotAwaitingApproval(_) => Self::conflict("not-awaiting-approval", words),
            Refusal::NotQuarantined(_) => Self::conflict("not-quarantined", words),
            Refusal::Quarantined => {
                Self::new(StatusCode::FORBIDDEN, "quarantined", "Forbidden", words)
            }
            Refusal::RevokedAnyway(_) => Self::conflict("device-revoked", words),
            Refusal::UnknownNotice(_) => Self::not_found("unknown-notice", words),
            Refusal::UnknownWebhook(_) => Self::not_found("unknown-webhook", words),
            Refusal::TooManyWebhooks(_) => Self::conflict("too-many-webhooks", words),
            Refusal::MissingBlob(_) => Self::conflict("missing-blob", words),
            Refusal::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "Shutting down", words)
            }
        }
    }
}

fn rejected(rejection: &Rejection, words: String) -> Failure {
    match rejection {
        Rejection::Status { .. } => Failure::conflict("job-status", words),
        Rejection::UnknownLease { .. } => Failure::not_found("unknown-lease", words),
        Rejection::OtherDevice { .. } => {
            Failure::new(StatusCode::FORBIDDEN, "other-device", "Forbidden", words)
        }
        Rejection::Norm { .. } => Failure::invalid("bad-update", words).at("blob"),
        Rejection::Fingerprint { .. } => Failure::conflict("fingerprint", words),
        Rejection::NothingToDo | Rejection::Stale { .. } => Failure::conflict("stale", words),
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        Self::invalid("impossible-job", error.to_string()).at(error.field())
    }
}

impl From<StepFault> for Failure {
    fn from(fault: StepFault) -> Self {
        match fault {
            StepFault::Full => Self::disk_full(),
            StepFault::Broke(words) | StepFault::Hopeless(words) => {
                Self::invalid("impossible", words)
            }
            StepFault::Cancelled => Self::from(Refusal::Stopping),
        }
    }
}

impl From<UploadFault> for Failure {
    fn from(fault: UploadFault) -> Self {
        let words = fault.to_string();
        match fault {
            UploadFault::Offset { offset } => {
                Self::conflict("offset-mismatch", words).with_offset(offset)
            }
            UploadFault::TooLong { .. } => Self::too_large(words),
            UploadFault::WrongHash { .. } => Self::invalid("wrong-hash", words),
            UploadFault::Broken => Self::bad_request("broken-upload", words),
            UploadFault::Superseded => Self::conflict("upload-superseded", words),
            UploadFault::Io(error) => error.into(),
        }
    }
}
