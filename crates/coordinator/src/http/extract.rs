//! What handlers take from a request: axum's extractors with our own words for what is wrong.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::body_timeout::WHOLE;
use super::problem::ApiError;

/// A JSON body; unknown fields are ignored.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match timeout(WHOLE, axum::Json::from_request(request, state)).await {
            Ok(Ok(axum::Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(body_failure(&rejection)),
            Err(_) => Err(late()),
        }
    }
}

fn late() -> ApiError {
    let words = format!("the body did not come within {} s; send it again", WHOLE.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "late-body", "Request timeout", words)
}

fn body_failure(rejection: &JsonRejection) -> ApiError {
    let words = rejection.body_text();
    match rejection {
        JsonRejection::JsonSyntaxError(_) => ApiError::bad_request("malformed-json", words),
        JsonRejection::JsonDataError(_) => ApiError::invalid("invalid-body", words),
        JsonRejection::MissingJsonContentType(_) => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Not JSON",
            "send JSON, with the header Content-Type: application/json",
        ),
        JsonRejection::BytesRejection(_) => {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::too_large("the body is larger than this request may have");
            }
            ApiError::bad_request("broken-body", words)
        }
        other => ApiError::bad_request("malformed-json", other.body_text()),
    }
}

/// The parameters in a path.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_failure(&rejection)),
        }
    }
}

fn path_failure(rejection: &PathRejection) -> ApiError {
    ApiError::bad_request("wrong-path", rejection.body_text())
}

/// The parameters after the question mark; unknown ones are ignored.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(query_failure(&rejection)),
        }
    }
}

fn query_failure(rejection: &QueryRejection) -> ApiError {
    ApiError::bad_request("wrong-query", rejection.body_text())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::body::Bytes;
    use futures::StreamExt;
    use serde_json::Value;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_not_waited_for() {
        let drops = futures::stream::repeat(()).then(|()| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from_static(b" "))
        });
        let request = Request::builder().header("content-type", "application/json");
        let request = request.body(axum::body::Body::from_stream(drops)).unwrap();
        let failure = Body::<Value>::from_request(request, &()).await.unwrap_err();
        assert_eq!((failure.problem.status, failure.problem.kind.as_str()), (408, "late-body"));
    }
}
