//! Which requests of an HTTP/2 connection are under way, so that one without any can be closed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    begun: AtomicU64,
}

/// One request, from its headers to the last byte of its answer.
#[derive(Debug)]
pub(super) struct One(Arc<Counts>);

/// The answer's body; the request ends with it.
struct Answer {
    body: Body,
    _one: One,
}

impl UnderWay {
    pub(super) fn begin(&self) -> One {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        One(self.0.clone())
    }

    /// Ends once there was no request for `time`, at most twice that after the last one.
    pub(super) async fn none_for(&self, time: Duration) {
        loop {
            let begun = self.0.begun.load(Ordering::Relaxed);
            let was_open = self.0.open.load(Ordering::Relaxed) > 0;
            tokio::time::sleep(time).await;
            if !was_open && self.0.begun.load(Ordering::Relaxed) == begun {
                return;
            }
        }
    }
}

impl One {
    /// The request ends when its answer was sent, or can't be.
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Answer { body, _one: self })
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
    use tokio::time::Instant;

    use super::*;

    const TIME: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_is_not_idle() {
        let requests = UnderWay::default();
        let begun = Instant::now();
        let one = requests.begin();
        let (idle, ()) = tokio::join!(
            async {
                requests.none_for(TIME).await;
                begun.elapsed()
            },
            async {
                tokio::time::sleep(TIME * 10).await;
                let body = one.until_sent(Body::from("answer"));
                tokio::time::sleep(TIME * 10).await;
                drop(body);
            }
        );
        assert!(idle >= TIME * 21 && idle <= TIME * 22, "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asks_is_idle_soon() {
        let begun = Instant::now();
        UnderWay::default().none_for(TIME).await;
        assert_eq!(begun.elapsed(), TIME);
    }
}
