//! A request's body that must go on: who begins one and falls silent is not waited for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// Between two pieces of a body.
const SILENCE: Duration = Duration::from_mins(1);
/// For a body that is taken whole: JSON, at most a mebibyte.
pub(super) const WHOLE: Duration = Duration::from_mins(1);

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("nothing came for {} s; send it again", SILENCE.as_secs())]
struct BodyTimedOut;

/// The body, which ends with an error where nothing comes for too long.
pub(super) fn with_timeout(body: Body) -> Body {
    // Most requests have none.
    if body.is_end_stream() {
        body
    } else {
        Body::new(BodyWithTimeout { body, silence: None, waits: false })
    }
}

struct BodyWithTimeout {
    body: Body,
    /// Made when it is first waited for.
    silence: Option<Pin<Box<Sleep>>>,
    waits: bool,
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
            this.waits = false;
            return Poll::Ready(frame);
        }
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE)));
        if !this.waits {
            silence.as_mut().reset(Instant::now() + SILENCE);
            this.waits = true;
        }
        silence.as_mut().poll(context).map(|()| Some(Err(axum::Error::new(BodyTimedOut))))
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

    /// A body of pieces that come after so many seconds each.
    fn after(seconds: &'static [u64]) -> Body {
        let pieces = stream::iter(seconds).then(|seconds| async move {
            sleep(Duration::from_secs(*seconds)).await;
            Ok::<_, axum::Error>(Bytes::from_static(b"x"))
        });
        with_timeout(Body::from_stream(pieces))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_body_and_slowness_does_not() {
        let slow = after(&[59; 10]).collect().await.unwrap();
        assert_eq!(slow.to_bytes().len(), 10);
        let error = after(&[0, 0, 61]).collect().await.unwrap_err();
        assert!(error.to_string().contains("nothing came for 60 s"), "{error}");
    }
}
