//! Timeouts of request bodies: a body that stalls ends with an error.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// Maximum time between two chunks of a body.
const CHUNK_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum time for a body that is read as a whole: JSON of at most 1 MiB.
pub(crate) const WHOLE_BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Error of a body that stalled.
#[derive(Debug, thiserror::Error)]
#[error("no data arrived for {} s", CHUNK_TIMEOUT.as_secs())]
pub(crate) struct BodyTimedOut;

/// Returns the body with a timeout between its chunks.
pub(crate) fn with_timeout(body: Body) -> Body {
    // Most requests have no body.
    if body.is_end_stream() {
        body
    } else {
        Body::new(BodyWithTimeout { body, timer: None, is_waiting: false })
    }
}

struct BodyWithTimeout {
    body: Body,
    /// Created when the body is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl HttpBody for BodyWithTimeout {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.is_waiting = false;
            return Poll::Ready(frame);
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(CHUNK_TIMEOUT)));
        if !this.is_waiting {
            timer.as_mut().reset(Instant::now() + CHUNK_TIMEOUT);
            this.is_waiting = true;
        }
        timer.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(BodyTimedOut))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;

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
        assert!(error.to_string().contains("no data arrived for 60 s"), "{error}");
    }
}
