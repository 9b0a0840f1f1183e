//! Revocable request and response bodies: a slow download or upload ends with an error when its
//! credential is revoked or its lease ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use crate::access::credential::Credential;

/// Size up to which a body is sent at once, so that it needs no check.
const SHORT: u64 = 64 << 10;

/// Reason why a body ended early.
#[derive(Debug, thiserror::Error)]
#[error("the authorization for this transfer ended")]
struct Ended;

/// Returns a body that breaks off when `ended` completes first. Short bodies are left unchanged.
pub(crate) fn until<F>(ended: F, body: Body) -> Body
where
    F: Future<Output = ()> + Send + 'static,
{
    if body.is_end_stream() || body.size_hint().upper().is_some_and(|bytes| bytes <= SHORT) {
        return body;
    }
    Body::new(Revocable { body: Some(body), ended: Box::pin(ended) })
}

/// Like [`until`], while the credential is valid.
pub(crate) fn while_counts(credential: Arc<Credential>, body: Body) -> Body {
    until(credential.ended(), body)
}

struct Revocable {
    /// `None` once it broke off.
    body: Option<Body>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl HttpBody for Revocable {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.ended.as_mut().poll(context).is_ready() {
            this.body = None;
            return Poll::Ready(Some(Err(axum::Error::new(Ended))));
        }
        Pin::new(body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// Response future whose body breaks off with the request's credential.
pub(crate) struct Answering<F> {
    answer: F,
    credential: Option<Arc<Credential>>,
}

impl<F> Answering<F> {
    pub(crate) fn new(answer: F, credential: Option<Arc<Credential>>) -> Self {
        Self { answer, credential }
    }
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        let credential = self.credential.take();
        Poll::Ready(answer.map(|answer| match credential {
            Some(credential) => answer.map(|body| while_counts(credential, body)),
            None => answer,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::body::to_bytes;
    use futures::stream;
    use http_body_util::BodyExt;
    use protocol::Timestamp;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::access::caller::Principal;
    use crate::access::credential::CredentialKind;
    use crate::clock;

    fn endless() -> Body {
        Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"x"))))
    }

    fn token(expires_at: Option<Timestamp>) -> Arc<Credential> {
        let (kind, principal) = (CredentialKind::Token, Principal::local_admin());
        Arc::new(Credential::new(kind, "id".to_owned(), principal, expires_at, None))
    }

    #[tokio::test]
    async fn a_body_breaks_off_when_the_right_to_it_ends() {
        let right = CancellationToken::new();
        let mut body = until(right.clone().cancelled_owned(), endless());
        assert!(body.frame().await.unwrap().is_ok());
        right.cancel();
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    /// Also breaks off while the other side sends nothing.
    #[tokio::test]
    async fn a_body_that_waits_breaks_off_too() {
        let credential = token(None);
        let silent = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let reading = tokio::spawn(to_bytes(while_counts(credential.clone(), silent), 10));
        credential.revoke();
        assert!(reading.await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_expires_ends_what_goes_on_with_it() {
        let credential = token(Some(clock::now().after(Duration::from_mins(1))));
        let silent = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let begun = tokio::time::Instant::now();
        assert!(to_bytes(while_counts(credential, silent), 10).await.is_err());
        assert!(begun.elapsed() > Duration::from_secs(50), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_short_body_is_left_as_it_is() {
        let credential = token(None);
        credential.revoke();
        let body = while_counts(credential.clone(), Body::from("its last answer"));
        assert_eq!(to_bytes(body, 100).await.unwrap(), "its last answer");
        let long = while_counts(credential, Body::from(vec![0; 1 << 17]));
        assert_eq!(long.size_hint().exact(), Some(1 << 17));
        assert!(to_bytes(long, 1 << 18).await.is_err());
    }
}
