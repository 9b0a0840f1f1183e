//! What every request and every answer goes through, and who is told what of it.
//!
//! Both layers are services by hand: a middleware made of an `async fn` keeps room for the request that
//! passed through it, at each of 10,000 devices that wait for an answer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as ready_or_wait};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, Either};
use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION};
use tower::{Layer, Service};

use super::problem::Failure;
use super::revocable::{Answering, while_counts};
use super::{Shared, auth, headers};
use crate::credential::Credential;

/// Counts answers, makes problems of errors and says how browsers may take them.
#[derive(Debug, Clone)]
pub(super) struct Envelope(pub(super) Shared);

#[derive(Debug, Clone)]
pub(super) struct Enveloped<S> {
    shared: Shared,
    inner: S,
}

/// An answer of [`Enveloped`].
pub(super) struct Sealed<F> {
    shared: Shared,
    /// The request's method and path.
    asked: String,
    answer: Either<F, Ready<Result<Response, Infallible>>>,
}

impl<S> Layer<S> for Envelope {
    type Service = Enveloped<S>;

    fn layer(&self, inner: S) -> Enveloped<S> {
        Enveloped { shared: self.0.clone(), inner }
    }
}

impl<S> Service<Request> for Enveloped<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Unpin>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Sealed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let asked = format!("{} {}", request.method(), request.uri().path());
        let answer = match auth::check_protocol(request.headers()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(failure) => Either::Right(ready(Ok(failure.into_response()))),
        };
        Sealed { shared: self.shared.clone(), asked, answer }
    }
}

impl<F> Future for Sealed<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(answer) = ready_or_wait!(Pin::new(&mut self.answer).poll(context));
        self.shared.requests.count(answer.status().as_u16());
        let mut answer = as_problem(answer, &self.asked);
        answer.headers_mut().insert(PROTOCOL_HEADER, PROTOCOL_VERSION.into());
        headers::protect(answer.status(), answer.headers_mut());
        Poll::Ready(Ok(answer))
    }
}

/// Turns an error that didn't come from us (a wrong method, a missing page of the documentation) into
/// a problem.
fn as_problem(answer: Response, asked: &str) -> Response {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_ours = kind.is_some_and(|kind| kind == "application/problem+json");
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (kind, words) = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            ("wrong-method", "can't be asked for; the header Allow says what can".to_owned())
        }
        StatusCode::NOT_FOUND => ("unknown-path", "is not here".to_owned()),
        other => ("error", format!("failed: {other}")),
    };
    let title = status.canonical_reason().unwrap_or("Error");
    let failure = Failure::new(status, kind, title, format!("{asked} {words}"));
    let mut problem = failure.into_response();
    if let Some(allow) = answer.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

/// Lets pass who has a credential that counts, and tells the handler who it is. Long bodies of the
/// request and of its answer break off when the credential ends.
#[derive(Debug, Clone)]
pub(super) struct Authenticate(pub(super) Shared);

#[derive(Debug, Clone)]
pub(super) struct Authenticated<S> {
    shared: Shared,
    inner: S,
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { shared: self.0.clone(), inner }
    }
}

impl<S> Service<Request> for Authenticated<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Unpin>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Answering<S::Future>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Err(refusal) = auth::authenticate(&self.shared, &mut request) else {
            let credential = request.extensions().get::<Arc<Credential>>().cloned();
            if let Some(credential) = credential.clone() {
                request = request.map(|body| while_counts(credential, body));
            }
            return Either::Left(Answering::new(self.inner.call(request), credential));
        };
        let shared = self.shared.clone();
        Either::Right(Box::pin(async move { Ok(refusal.answer(&shared).await.into_response()) }))
    }
}
