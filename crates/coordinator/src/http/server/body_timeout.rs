//! Timeouts of request bodies: a body that stalls ends with an error, and the request with status 408.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use tower_http::timeout::{TimeoutBody, TimeoutError};

use crate::http::problem::ApiError;

/// Maximum time between two chunks of a body.
const CHUNK_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum time for a body that is read as a whole: JSON of at most 1 MiB.
pub(crate) const WHOLE_BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns the body with a timeout between its chunks. The new body has no size hint.
pub(crate) fn with_timeout(body: Body) -> Body {
    // Most requests have no body.
    if body.is_end_stream() { body } else { Body::new(TimeoutBody::new(CHUNK_TIMEOUT, body)) }
}

/// Error for a body that did not arrive as a whole within [`WHOLE_BODY_TIMEOUT`].
pub(crate) fn late() -> ApiError {
    let seconds = WHOLE_BODY_TIMEOUT.as_secs();
    request_timeout(&format!("the body did not arrive within {seconds} s"))
}

/// Returns the error for a body that stalled, if that is the cause of `error`.
pub(crate) fn stalled(error: &(dyn Error + 'static)) -> Option<ApiError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TimeoutError>() {
            let seconds = CHUNK_TIMEOUT.as_secs();
            return Some(request_timeout(&format!("no data arrived for {seconds} s")));
        }
        cause = error.source();
    }
    None
}

fn request_timeout(reason: &str) -> ApiError {
    let message = format!("{reason}; send the request again");
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "late-body", "Request timeout", message)
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::{StreamExt, TryStreamExt, stream};
    use http_body_util::BodyExt;
    use tokio::time::sleep;

    use super::*;

    /// Returns a body whose chunks arrive after these numbers of seconds each.
    fn delayed(seconds: &'static [u64]) -> Body {
        let chunks = stream::iter(seconds).then(|seconds| async move {
            sleep(Duration::from_secs(*seconds)).await;
            Ok::<_, axum::Error>(Bytes::from_static(b"x"))
        });
        with_timeout(Body::from_stream(chunks))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_ends_with_an_error_and_a_slow_one_does_not() {
        let slow = delayed(&[59; 10]).collect().await.unwrap();
        assert_eq!(slow.to_bytes().len(), 10);
        let error = delayed(&[0, 0, 61]).collect().await.unwrap_err();
        let problem = stalled(&error).unwrap().problem;
        assert_eq!((problem.status, problem.kind.as_str()), (408, "late-body"));
        assert_eq!(problem.detail, "no data arrived for 60 s; send the request again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_no_stalled_body() {
        let mut chunks = delayed(&[1; 3]).into_data_stream();
        while chunks.try_next().await.unwrap().is_some() {
            sleep(CHUNK_TIMEOUT * 2).await;
        }
    }

    #[tokio::test]
    async fn a_broken_connection_is_no_stalled_body() {
        let broken = Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("x"))]));
        assert!(stalled(&with_timeout(broken).collect().await.unwrap_err()).is_none());
    }
}
