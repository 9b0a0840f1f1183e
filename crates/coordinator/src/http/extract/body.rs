//! JSON bodies of requests.
//!
//! A field that the request does not have is an error, because it is most likely misspelt. Only a device's
//! own messages may have more: a device can be updated before its coordinator, and new fields of its
//! messages do not raise the protocol version.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use protocol::PROTOCOL_HEADER;
use protocol::job::{JobSpec, translated};
use protocol::unknown_field::unknown_field;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::{cause, message};
use crate::http::problem::ApiError;
use crate::http::server::body_timeout::{WHOLE_BODY_TIMEOUT, late, stalled};

/// A JSON body without unknown fields.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + Serialize, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Ok(Self(read_exactly(&bytes(request, state).await?)?))
    }
}

/// The body of `POST /jobs`: a job without unknown fields. Names of the earlier system are translated.
#[derive(Debug)]
pub(crate) struct JobBody(pub(crate) JobSpec);

impl<S: Send + Sync> FromRequest<S> for JobBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = bytes(request, state).await?;
        // The job's own reader reports a body that is not JSON.
        let written: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match translated(&written)? {
            Some(today) => Ok(Self(read_exactly(today.to_string().as_bytes())?)),
            None => Ok(Self(read_exactly(&bytes)?)),
        }
    }
}

/// The JSON body of a device's message. A device names its protocol version, and may then send fields that
/// this coordinator does not know. They are ignored.
#[derive(Debug)]
pub(crate) struct DeviceMessage<T>(pub(crate) T);

impl<T: DeserializeOwned + Serialize, S: Send + Sync> FromRequest<S> for DeviceMessage<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let by_program = request.headers().contains_key(PROTOCOL_HEADER);
        let bytes = bytes(request, state).await?;
        Ok(Self(if by_program { read(&bytes)? } else { read_exactly(&bytes)? }))
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    if !is_json(request.headers()) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Not JSON",
            "send JSON with the header Content-Type: application/json",
        ));
    }
    match timeout(WHOLE_BODY_TIMEOUT, Bytes::from_request(request, state)).await {
        Ok(bytes) => bytes.map_err(|rejection| bytes_error(&rejection)),
        Err(_) => Err(late()),
    }
}

/// Returns whether the type is `application/json` or one that ends in `+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let subtype = kind.strip_prefix("application/").unwrap_or_default();
    subtype == "json" || subtype.ends_with("+json")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    match axum::Json::from_bytes(bytes) {
        Ok(axum::Json(value)) => Ok(value),
        Err(rejection) => Err(body_error(&rejection)),
    }
}

/// Reads a value and refuses fields that it does not have.
fn read_exactly<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, ApiError> {
    let value: T = read(bytes)?;
    let written: Value = read(bytes)?;
    let fields = serde_json::to_value(&value)
        .map_err(|error| ApiError::internal(format!("the body can't be compared: {error}")))?;
    match unknown_field(&written, &fields) {
        Some(field) => Err(ApiError::invalid("unknown-field", field.to_string()).at(&field.path)),
        None => Ok(value),
    }
}

fn bytes_error(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large("the body is larger than this request allows");
    }
    stalled(rejection).unwrap_or_else(|| {
        let message = "the body did not arrive completely; send the request again";
        ApiError::bad_request("broken-body", message)
    })
}

fn unreadable() -> ApiError {
    ApiError::bad_request("malformed-json", "the body can't be read as JSON")
}

fn body_error(rejection: &JsonRejection) -> ApiError {
    match rejection {
        JsonRejection::JsonSyntaxError(error) => {
            ApiError::bad_request("malformed-json", message::syntax(&cause(error)))
        }
        JsonRejection::JsonDataError(error) => {
            ApiError::invalid("invalid-body", message::content(&cause(error), "the body"))
        }
        JsonRejection::MissingJsonContentType(_) | JsonRejection::BytesRejection(_) => unreadable(),
        _ => unreadable(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fmt::Debug;
    use std::time::Duration;

    use axum::body::Bytes;
    use futures::StreamExt;
    use protocol::JobId;
    use protocol::api::TokenRequest;
    use protocol::lease::{LeaseReturn, ReturnReason};
    use serde::Deserialize;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_too_slowly_is_refused() {
        let chunks = futures::stream::repeat(()).then(|()| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from_static(b" "))
        });
        let request = Request::builder().header("content-type", "application/json");
        let request = request.body(axum::body::Body::from_stream(chunks)).unwrap();
        let error = Body::<Value>::from_request(request, &()).await.unwrap_err();
        assert_eq!((error.problem.status, error.problem.kind.as_str()), (408, "late-body"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_says_for_how_long() {
        let stalled =
            axum::body::Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
        let request = Request::builder().header("content-type", "application/json");
        let request =
            request.body(crate::http::server::body_timeout::with_timeout(stalled)).unwrap();
        let problem = Body::<Value>::from_request(request, &()).await.unwrap_err().problem;
        assert_eq!((problem.status, problem.kind.as_str()), (408, "late-body"));
        assert_eq!(problem.detail, "no data arrived for 60 s; send the request again");
    }

    fn refused<T: DeserializeOwned + Debug>(body: &str) -> String {
        read::<T>(body.as_bytes()).unwrap_err().problem.detail
    }

    #[test]
    fn an_invalid_body_names_the_field_and_what_is_allowed() {
        let job = |more: &str| {
            let head = r#""name": "n", "model_type": "nlp", "dataset": "d""#;
            refused::<JobSpec>(&format!("{{{head}, {more}}}"))
        };
        assert_eq!(
            job(r#""plan": {"batch_size": "many"}"#),
            "plan.batch_size must be a whole number from 0 to 4294967295, not the text \"many\""
        );
        assert_eq!(job(r#""seed": -1"#), "seed must be a whole number, 0 or more, not -1");
        assert_eq!(job(r#""run": 3"#), "run must be an object, not 3");
        assert_eq!(job(r#""run": {"labels": {}}"#), "run.labels must be a list, not an object");
        assert_eq!(job(r#""model_type": "nlp""#), "model_type appears more than once");
        assert_eq!(refused::<JobSpec>(r#"{"name": 1}"#), "name must be text, not 1");
        assert_eq!(refused::<JobSpec>(r#"{"name": "n"}"#), "model_type is missing");
        assert_eq!(refused::<JobSpec>("[1, 2]"), "the body must be an object, not a list");
        assert_eq!(refused::<JobSpec>("null"), "the body must be an object, not null");
        assert_eq!(
            refused::<TokenRequest>(r#"{"role": "king"}"#),
            "role must be one of admin, viewer or device, not 'king'"
        );
        assert_eq!(
            refused::<OneJob>(r#"{"job": "x"}"#),
            "job must be an id: a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057"
        );
    }

    #[test]
    fn malformed_json_names_the_position() {
        assert_eq!(refused::<JobSpec>(""), "the body is empty; send a JSON object");
        assert_eq!(
            refused::<JobSpec>("{\"name\": \"x\","),
            "the body ends before its JSON is complete, at line 1, column 13"
        );
        assert_eq!(
            refused::<JobSpec>("{\"name\": x}"),
            "the body is not valid JSON: check line 1, column 10"
        );
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors of reading it are tested")]
    struct OneJob {
        job: JobId,
    }

    #[test]
    fn an_unknown_field_of_a_request_is_refused_and_names_the_nearest() {
        let refused =
            |body: &str| read_exactly::<TokenRequest>(body.as_bytes()).unwrap_err().problem;
        let problem = refused(r#"{"role": "viewer", "expires_on": 3}"#);
        assert_eq!((problem.status, problem.kind.as_str()), (422, "unknown-field"));
        assert_eq!(problem.detail, "unknown field 'expires_on'; did you mean 'expires_in'?");
        assert_eq!(problem.field.as_deref(), Some("expires_on"));
    }

    #[tokio::test]
    async fn a_newer_device_may_send_more_fields_and_a_person_may_not() {
        let request = |by_device: bool| {
            let request = Request::builder().header("content-type", "application/json");
            let request = if by_device { request.header(PROTOCOL_HEADER, "1") } else { request };
            let body = r#"{"reason": "held", "mood": "fine"}"#;
            request.body(axum::body::Body::from(body)).unwrap()
        };
        let message = DeviceMessage::<LeaseReturn>::from_request(request(true), &()).await;
        assert_eq!(message.unwrap().0.reason, ReturnReason::Held);
        let error = DeviceMessage::<LeaseReturn>::from_request(request(false), &()).await;
        assert_eq!(error.unwrap_err().problem.detail, "unknown field 'mood'");
    }

    #[test]
    fn the_content_type_decides_what_is_json() {
        let json = |kind: &'static str| {
            let header = (header::CONTENT_TYPE, kind.parse().unwrap());
            is_json(&HeaderMap::from_iter([header]))
        };
        assert!(json("application/json; charset=utf-8") && json("application/problem+json"));
        assert!(!json("text/json") && !json("application/x-www-form-urlencoded"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
