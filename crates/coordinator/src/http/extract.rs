//! Extractors of handlers: axum's extractors with plain error messages and a timeout for bodies.

mod message;

use std::error::Error;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::problem::ApiError;
use crate::http::server::body_timeout::{WHOLE_BODY_TIMEOUT, late, stalled};

/// Maximum size of a JSON body.
pub(crate) const MOST_JSON: usize = 1 << 20;

/// A JSON body. Unknown fields are ignored.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match timeout(WHOLE_BODY_TIMEOUT, axum::Json::from_request(request, state)).await {
            Ok(Ok(axum::Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(body_error(&rejection)),
            Err(_) => Err(late()),
        }
    }
}

fn body_error(rejection: &JsonRejection) -> ApiError {
    match rejection {
        JsonRejection::JsonSyntaxError(error) => {
            ApiError::bad_request("malformed-json", message::syntax(&cause(error)))
        }
        JsonRejection::JsonDataError(error) => {
            ApiError::invalid("invalid-body", message::content(&cause(error), "the body"))
        }
        JsonRejection::MissingJsonContentType(_) => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Not JSON",
            "send JSON with the header Content-Type: application/json",
        ),
        JsonRejection::BytesRejection(_) => {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::too_large("the body is larger than this request allows");
            }
            stalled(rejection).unwrap_or_else(|| {
                let message = "the body did not arrive completely; send the request again";
                ApiError::bad_request("broken-body", message)
            })
        }
        _ => ApiError::bad_request("malformed-json", "the body can't be read as JSON"),
    }
}

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
    use std::convert::Infallible;
    use std::fmt::Debug;
    use std::time::Duration;

    use axum::body::Bytes;
    use futures::StreamExt;
    use protocol::JobId;
    use protocol::api::TokenRequest;
    use protocol::job::JobSpec;
    use serde_json::Value;
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
        let rejection = axum::Json::<Value>::from_request(request, &()).await.unwrap_err();
        let problem = body_error(&rejection).problem;
        assert_eq!((problem.status, problem.kind.as_str()), (408, "late-body"));
        assert_eq!(problem.detail, "no data arrived for 60 s; send the request again");
    }

    fn refused<T: DeserializeOwned + Debug>(body: &str) -> String {
        let rejection = axum::Json::<T>::from_bytes(body.as_bytes()).unwrap_err();
        body_error(&rejection).problem.detail
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
