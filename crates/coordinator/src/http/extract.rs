//! What handlers take from a request: axum's extractors with our own words for what is wrong.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Failure;

/// A JSON body; unknown fields are ignored.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(body_failure(&rejection)),
        }
    }
}

fn body_failure(rejection: &JsonRejection) -> Failure {
    let words = rejection.body_text();
    match rejection {
        JsonRejection::JsonSyntaxError(_) => Failure::bad_request("malformed-json", words),
        JsonRejection::JsonDataError(_) => Failure::invalid("invalid-body", words),
        JsonRejection::MissingJsonContentType(_) => Failure::new(
            axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Not JSON",
            "send JSON, with the header Content-Type: application/json",
        ),
        JsonRejection::BytesRejection(_) => {
            if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                return Failure::too_large("the body is larger than this request may have");
            }
            Failure::bad_request("broken-body", words)
        }
        other => Failure::bad_request("malformed-json", other.body_text()),
    }
}

/// The parameters in a path.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_failure(&rejection)),
        }
    }
}

fn path_failure(rejection: &PathRejection) -> Failure {
    Failure::bad_request("wrong-path", rejection.body_text())
}

/// The parameters after the question mark; unknown ones are ignored.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(query_failure(&rejection)),
        }
    }
}

fn query_failure(rejection: &QueryRejection) -> Failure {
    Failure::bad_request("wrong-query", rejection.body_text())
}
