//! Requests in flight on a connection. Connections without requests are closed, and so are those whose
//! peer doesn't read its answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// Maximum bytes of an answer passed on at once, so that a peer that stops reading is noticed.
const CHUNK_BYTES: usize = 64 << 10;
/// Factor by which a peer that doesn't read its answers gets more time than an idle one, because its
/// network may be slow.
const STALLED_FACTOR: u32 = 4;

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlightRequests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests that are being processed.
    working: AtomicUsize,
    /// Requests whose answers wait for the peer to read.
    sending: AtomicUsize,
    /// Counter of all state changes.
    events: AtomicU64,
}

/// One request, counted from its headers to the last byte of its answer.
#[derive(Debug)]
pub(crate) struct InFlightRequest {
    counts: Arc<Counts>,
    is_sending: bool,
}

/// Body of an answer. The request ends when it is dropped.
struct InFlightBody {
    body: Body,
    /// Rest of the current chunk that is not passed on yet.
    rest: Bytes,
    request: InFlightRequest,
}

impl InFlightRequests {
    /// Counts a new request.
    pub(crate) fn begin(&self) -> InFlightRequest {
        let counts = self.0.clone();
        counts.working.fetch_add(1, Ordering::Relaxed);
        counts.events.fetch_add(1, Ordering::Relaxed);
        InFlightRequest { counts, is_sending: false }
    }

    /// Returns after a period of `time` without a request, at most twice `time` after the last one. If only
    /// answers are left that the peer doesn't read, returns after four such periods.
    pub(crate) async fn none_for(&self, time: Duration) {
        let mut quiet_periods = 0;
        loop {
            let events = self.0.events.load(Ordering::Relaxed);
            let was_working = self.0.working.load(Ordering::Relaxed) > 0;
            tokio::time::sleep(time).await;
            let changed = self.0.events.load(Ordering::Relaxed) != events;
            quiet_periods = if was_working || changed { 0 } else { quiet_periods + 1 };
            let stalled = self.0.sending.load(Ordering::Relaxed) > 0;
            if quiet_periods >= if stalled { STALLED_FACTOR } else { 1 } {
                return;
            }
        }
    }
}

impl InFlightRequest {
    /// Wraps the answer's body. The request ends when the body is sent or dropped.
    pub(crate) fn until_sent(mut self, body: Body) -> Body {
        self.set_sending(true);
        Body::new(InFlightBody { body, rest: Bytes::new(), request: self })
    }

    fn set_sending(&mut self, is_sending: bool) {
        if is_sending != self.is_sending {
            self.count(is_sending).fetch_add(1, Ordering::Relaxed);
            self.count(!is_sending).fetch_sub(1, Ordering::Relaxed);
            self.is_sending = is_sending;
        }
        self.counts.events.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, is_sending: bool) -> &AtomicUsize {
        if is_sending { &self.counts.sending } else { &self.counts.working }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.count(self.is_sending).fetch_sub(1, Ordering::Relaxed);
        self.counts.events.fetch_add(1, Ordering::Relaxed);
    }
}

impl HttpBody for InFlightBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            // A body that has no data yet is waiting for this side, not for the peer.
            self.request.set_sending(polled.is_ready());
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.len() > CHUNK_BYTES => self.rest = data,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        } else {
            self.request.set_sending(true);
        }
        let length = CHUNK_BYTES.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::*;

    const TIME: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_is_not_idle() {
        let requests = InFlightRequests::default();
        let begun = Instant::now();
        let request = requests.begin();
        let (idle, ()) = tokio::join!(
            async {
                requests.none_for(TIME).await;
                begun.elapsed()
            },
            async {
                tokio::time::sleep(TIME * 10).await;
                let mut body = request.until_sent(Body::from(vec![0; CHUNK_BYTES * 5]));
                for _ in 0..5 {
                    tokio::time::sleep(TIME * 2).await;
                    body.frame().await.unwrap().unwrap();
                }
                drop(body);
            }
        );
        assert!(idle >= TIME * 21 && idle <= TIME * 22, "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_answer_ends_the_connection_and_a_late_answer_does_not() {
        let requests = InFlightRequests::default();
        let begun = Instant::now();
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, axum::Error>>(1);
        let stream = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|item| (item, receiver))
        });
        let mut body = requests.begin().until_sent(Body::from_stream(stream));
        let (idle, ()) = tokio::join!(
            async {
                requests.none_for(TIME).await;
                begun.elapsed()
            },
            async {
                // The answer has no data for a long time.
                let late = async {
                    tokio::time::sleep(TIME * 10).await;
                    sender.send(Ok(Bytes::from(vec![0; CHUNK_BYTES * 2]))).await.unwrap();
                };
                let (first, ()) = tokio::join!(body.frame(), late);
                assert_eq!(first.unwrap().unwrap().into_data().unwrap().len(), CHUNK_BYTES);
            }
        );
        assert!(idle >= TIME * 14 && idle <= TIME * 15, "{idle:?}");
        drop(body);
    }

    #[tokio::test]
    async fn a_chunked_answer_has_the_same_bytes() {
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK_BYTES * 2 + 7).collect();
        let body = InFlightRequests::default().begin().until_sent(Body::from(bytes.clone()));
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_idle_after_one_period() {
        let begun = Instant::now();
        InFlightRequests::default().none_for(TIME).await;
        assert_eq!(begun.elapsed(), TIME);
    }
}
