//! Extractors of handlers: axum's extractors with plain error messages and a timeout for bodies.

mod body;
mod message;

use std::error::Error;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
pub(crate) use body::{Body, DeviceMessage, JobBody};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::ApiError;

/// Maximum size of a JSON body.
pub(crate) const MOST_JSON: usize = 1 << 20;

/// Returns the library's message below axum's own.
fn cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Parameters of the path.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_error(&rejection)),
        }
    }
}

fn path_error(rejection: &PathRejection) -> ApiError {
    let detail = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => message::path(error.kind()),
        PathRejection::MissingPathParams(_) => "the path can't be read".to_owned(),
        _ => "the path can't be read".to_owned(),
    };
    ApiError::bad_request("wrong-path", detail)
}

/// Parameters of the query string. Unknown ones are ignored.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(query_error(&rejection)),
        }
    }
}

/// Filter of lists whose items can be archived.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Archived {
    /// `true` lists the archived items instead of all others. Default: `false`.
    #[serde(default)]
    pub(crate) archived: bool,
}

fn query_error(rejection: &QueryRejection) -> ApiError {
    ApiError::bad_request("wrong-query", message::content(&cause(rejection), "the query"))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors of reading it are tested")]
    struct Page {
        after: u64,
        limit: Option<f64>,
        all: Option<bool>,
    }

    #[test]
    fn an_invalid_query_names_the_parameter_and_what_is_allowed() {
        for (query, detail) in [
            ("", "after is missing"),
            ("after=yesterday", "after must be a whole number, 0 or more"),
            ("after=99999999999999999999", "after must be a smaller number"),
            ("after=1&limit=x", "limit must be a number"),
            ("after=1&all=maybe", "all must be true or false"),
            ("after=1&after=2", "after appears more than once"),
        ] {
            let uri = format!("/events?{query}").parse().unwrap();
            let rejection = Query::<Page>::try_from_uri(&uri).unwrap_err();
            assert_eq!(query_error(&rejection).problem.detail, detail, "{query}");
        }
    }
}
