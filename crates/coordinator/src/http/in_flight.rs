//! Which requests of a connection are under way, so that one without any can be closed, and one whose
//! peer doesn't take its answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// Bytes of an answer that are handed on at once, so that it shows whether the peer takes them.
const PIECE: usize = 64 << 10;
/// A peer that takes nothing of its answers is left after so many times as long as one that asks
/// nothing: its network may be slow.
const STALLED: u32 = 4;

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlightRequests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests that wait for this side.
    working: AtomicUsize,
    /// Requests whose answers wait for the peer.
    sending: AtomicUsize,
    /// Grows with everything that happens.
    events: AtomicU64,
}

/// One request, from its headers to the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlightRequest {
    counts: Arc<Counts>,
    is_sending: bool,
}

/// The answer's body; the request ends with it.
struct InFlightBody {
    body: Body,
    /// Of the last piece of the body; not handed on yet.
    rest: Bytes,
    one: InFlightRequest,
}

impl InFlightRequests {
    pub(super) fn begin(&self) -> InFlightRequest {
        let counts = self.0.clone();
        counts.working.fetch_add(1, Ordering::Relaxed);
        counts.events.fetch_add(1, Ordering::Relaxed);
        InFlightRequest { counts, is_sending: false }
    }

    /// Ends once there was no request for `time`, at most twice that after the last one; or once there
    /// are only answers of which the peer took nothing, for four times that.
    pub(super) async fn none_for(&self, time: Duration) {
        let mut quiet = 0;
        loop {
            let events = self.0.events.load(Ordering::Relaxed);
            let was_working = self.0.working.load(Ordering::Relaxed) > 0;
            tokio::time::sleep(time).await;
            let happened = self.0.events.load(Ordering::Relaxed) != events;
            quiet = if was_working || happened { 0 } else { quiet + 1 };
            let stalled = self.0.sending.load(Ordering::Relaxed) > 0;
            if quiet >= if stalled { STALLED } else { 1 } {
                return;
            }
        }
    }
}

impl InFlightRequest {
    /// The request ends when its answer was sent, or can't be.
    pub(super) fn until_sent(mut self, body: Body) -> Body {
        self.set_sending(true);
        Body::new(InFlightBody { body, rest: Bytes::new(), one: self })
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
            // While there is nothing yet, it is not the peer that keeps it.
            self.one.set_sending(polled.is_ready());
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.len() > PIECE => self.rest = data,
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        } else {
            self.one.set_sending(true);
        }
        let length = PIECE.min(self.rest.len());
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
        let one = requests.begin();
        let (idle, ()) = tokio::join!(
            async {
                requests.none_for(TIME).await;
                begun.elapsed()
            },
            async {
                tokio::time::sleep(TIME * 10).await;
                let mut body = one.until_sent(Body::from(vec![0; PIECE * 5]));
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
    async fn who_does_not_take_its_answer_is_left_and_who_waits_for_one_is_not() {
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
                // Nothing is there to be taken.
                let late = async {
                    tokio::time::sleep(TIME * 10).await;
                    sender.send(Ok(Bytes::from(vec![0; PIECE * 2]))).await.unwrap();
                };
                let (first, ()) = tokio::join!(body.frame(), late);
                assert_eq!(first.unwrap().unwrap().into_data().unwrap().len(), PIECE);
            }
        );
        assert!(idle >= TIME * 14 && idle <= TIME * 15, "{idle:?}");
        drop(body);
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_the_same_answer() {
        let bytes: Vec<u8> = (0..=255).cycle().take(PIECE * 2 + 7).collect();
        let body = InFlightRequests::default().begin().until_sent(Body::from(bytes.clone()));
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asks_is_idle_soon() {
        let begun = Instant::now();
        InFlightRequests::default().none_for(TIME).await;
        assert_eq!(begun.elapsed(), TIME);
    }
}
