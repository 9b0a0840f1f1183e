//! Error responses: RFC 9457 problem details that say what to change.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use federation::machine::RejectedEvent;
use protocol::Problem;
use protocol::dataset::import::OpenQuestion;
use protocol::dataset::{FileProblem, RowProblem};
use protocol::job::JobError;
use protocol::text::without_error_numbers;

use crate::blobs::{QuotaError, UploadError, is_full};
use crate::driver::DriverError;
use crate::staging::StagingError;
use crate::steps::StepError;
use crate::store::StoreError;

/// Error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) problem: Problem,
    hint: Option<Hint>,
}

/// Additional data of an error, in a header or in extra members.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hint {
    /// For uploads: number of stored bytes.
    Offset(u64),
    /// Seconds after which a retry may succeed.
    RetryAfter(u64),
    /// For files: unusable rows and open decisions.
    File(Box<FileHint>),
}

/// Unusable rows and open decisions of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct FileHint {
    bad_rows: u64,
    first: Vec<RowProblem>,
    questions: Vec<OpenQuestion>,
}

/// Result of handlers.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        kind: &str,
        title: &str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = without_error_numbers(&detail.into());
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

    /// Returns the error of a request that was parsed but has invalid values.
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

    /// Returns the error of too many invalid credentials. Further requests are rejected for `wait`.
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
        let hint = FileHint { bad_rows: count, first, ..FileHint::default() };
        self.hint = Some(Hint::File(Box::new(hint)));
        self
    }

    /// Adds the decisions that an import can't make without the caller.
    pub(crate) fn with_questions(mut self, questions: Vec<OpenQuestion>) -> Self {
        self.hint = Some(Hint::File(Box::new(FileHint { questions, ..FileHint::default() })));
        self
    }

    fn with_offset(mut self, offset: u64) -> Self {
        self.hint = Some(Hint::Offset(offset));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.problem.status >= 500 {
            tracing::warn!(kind = self.problem.kind, "{}", self.problem.detail);
        }
        let status = StatusCode::from_u16(self.problem.status);
        let body = match &self.hint {
            Some(Hint::File(file)) => serde_json::to_vec(&FileProblem {
                problem: self.problem.clone(),
                bad_rows: file.bad_rows,
                rows: file.first.clone(),
                questions: file.questions.clone(),
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
            Some(Hint::File(_)) | None => {}
        }
        response
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        if let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<QuotaError>()) {
            return Self::no_room(reason.to_string());
        }
        if is_full(&error) {
            return Self::disk_full();
        }
        Self::internal(format!("the coordinator's disk: {error}"))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::disk_full(),
            StoreError::Newer { .. } | StoreError::Sqlite(_) | StoreError::Unreadable { .. } => {
                Self::internal(error.to_string())
            }
        }
    }
}

impl From<DriverError> for ApiError {
    fn from(refusal: DriverError) -> Self {
        let words = refusal.to_string();
        match refusal {
            DriverError::Store(error) => error.into(),
            DriverError::Rejected(rejection) => rejected(&rejection, words),
            DriverError::UnknownJob(_) => Self::not_found("unknown-job", words),
            DriverError::UnknownDevice(_) => Self::not_found("unknown-device", words),
            DriverError::UnknownLease(_) => Self::not_found("unknown-lease", words),
            DriverError::UnknownModel(_) => Self::not_found("unknown-model", words),
            DriverError::UnknownToken(_) => Self::not_found("unknown-token", words),
            DriverError::UnknownSignInCode => {
                Self::new(StatusCode::UNAUTHORIZED, "sign-in-code", "Unauthorized", words)
            }
            DriverError::UnknownSession => Self::not_found("unknown-session", words),
            DriverError::LastAdmin => Self::conflict("last-admin", words),
            DriverError::Revoked => {
                Self::new(StatusCode::FORBIDDEN, "device-revoked", "Forbidden", words)
            }
            DriverError::CopiedKey { .. } => Self::conflict("copied-key", words),
            DriverError::MachineActive { .. } => Self::conflict("device-at-work", words),
            DriverError::SecondSession { .. } => Self::conflict("second-session", words),
            DriverError::UnknownJoinCode(_) => Self::not_found("unknown-join-code", words),
            DriverError::WrongJoinCode => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-join-code", "Unauthorized", words)
            }
            DriverError::JoinCode(_) => {
                Self::new(StatusCode::FORBIDDEN, "join-code-not-open", "Forbidden", words)
            }
            DriverError::NotAwaitingApproval(_) => Self::conflict("not-awaiting-approval", words),
            DriverError::NotQuarantined(_) => Self::conflict("not-quarantined", words),
            DriverError::Quarantined => {
                Self::new(StatusCode::FORBIDDEN, "quarantined", "Forbidden", words)
            }
            DriverError::NotRevoked(_) => Self::conflict("not-revoked", words),
            DriverError::DeviceRevoked(_) => Self::conflict("device-revoked", words),
            DriverError::UnknownNotice(_) => Self::not_found("unknown-notice", words),
            DriverError::UnknownWebhook(_) => Self::not_found("unknown-webhook", words),
            DriverError::TooManyWebhooks(_) => Self::conflict("too-many-webhooks", words),
            DriverError::MissingBlob(_) => Self::conflict("missing-blob", words),
            DriverError::UnknownDataset(_) => Self::not_found("unknown-dataset", words),
            DriverError::NameTaken { .. } | DriverError::DatasetExists(_) => {
                Self::conflict("name-taken", words).at("name")
            }
            DriverError::ArchivedDataset(_) => Self::conflict("archived-dataset", words),
            DriverError::NotEnded { .. } => Self::conflict("job-not-ended", words),
            DriverError::InUse { .. } => Self::conflict("in-use", words),
            DriverError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "Shutting down", words)
            }
        }
    }
}

fn rejected(rejection: &RejectedEvent, words: String) -> ApiError {
    match rejection {
        RejectedEvent::Status { .. } => ApiError::conflict("job-status", words),
        RejectedEvent::UnknownLease { .. } => ApiError::not_found("unknown-lease", words),
        RejectedEvent::OtherDevice { .. } => {
            ApiError::new(StatusCode::FORBIDDEN, "other-device", "Forbidden", words)
        }
        RejectedEvent::Norm { .. } => ApiError::invalid("bad-update", words).at("blob"),
        RejectedEvent::Fingerprint { .. } => ApiError::conflict("fingerprint", words),
        RejectedEvent::NothingToDo | RejectedEvent::Stale { .. } => {
            ApiError::conflict("stale", words)
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        Self::invalid("impossible-job", error.to_string()).at(error.field())
    }
}

impl From<StepError> for ApiError {
    fn from(fault: StepError) -> Self {
        match fault {
            StepError::Full => Self::disk_full(),
            StepError::Transient(words) | StepError::Permanent(words) => {
                Self::invalid("impossible", words)
            }
            StepError::Cancelled => Self::from(DriverError::Stopping),
        }
    }
}

impl From<StagingError> for ApiError {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::TooMany => Self::conflict("too-many-uploads", error.to_string()),
            StagingError::Io(error) => error.into(),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(fault: UploadError) -> Self {
        let words = fault.to_string();
        match fault {
            UploadError::Offset { offset } => {
                Self::conflict("offset-mismatch", words).with_offset(offset)
            }
            UploadError::TooLong { .. } => Self::too_large(words),
            UploadError::WrongHash { .. } => Self::invalid("wrong-hash", words),
            UploadError::Broken => Self::bad_request("broken-upload", words),
            UploadError::Superseded => Self::conflict("upload-superseded", words),
            UploadError::Io(error) => error.into(),
        }
    }
}
