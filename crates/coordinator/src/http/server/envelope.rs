//! Layers that every request and response passes.
//!
//! Both are hand-written services: middleware made of an `async fn` reserves space for the request
//! it handled, for each of 10,000 waiting devices.

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

use super::headers;
use super::revocable::{Answering, while_counts};
use crate::access::credential::Credential;
use crate::http::auth::extractors;
use crate::http::problem::ApiError;
use crate::http::state::ApiState;

/// Counts responses, converts errors to problems and sets the security headers for browsers.
#[derive(Debug, Clone)]
pub(crate) struct Envelope(pub(crate) ApiState);

#[derive(Debug, Clone)]
pub(crate) struct Enveloped<S> {
    shared: ApiState,
    inner: S,
}

/// Response future of [`Enveloped`].
pub(crate) struct Sealed<F> {
    shared: ApiState,
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
        let answer = match extractors::check_protocol(request.headers()) {
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
        self.shared.responses.count(answer.status().as_u16());
        let mut answer = as_problem(answer, &self.asked);
        answer.headers_mut().insert(PROTOCOL_HEADER, PROTOCOL_VERSION.into());
        headers::set_security_headers(answer.status(), answer.headers_mut());
        Poll::Ready(Ok(answer))
    }
}

/// Converts an error from the framework (a wrong method, a missing documentation page) to a
/// problem.
fn as_problem(answer: Response, asked: &str) -> Response {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_ours = kind.is_some_and(|kind| kind == "application/problem+json");
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (kind, words) = match status {
        StatusCode::METHOD_NOT_ALLOWED => (
            "wrong-method",
            "is not allowed; the header Allow lists the allowed methods".to_owned(),
        ),
        StatusCode::NOT_FOUND => ("unknown-path", "does not exist".to_owned()),
        other => ("error", format!("failed: {other}")),
    };
    let title = status.canonical_reason().unwrap_or("Error");
    let failure = ApiError::new(status, kind, title, format!("{asked} {words}"));
    let mut problem = failure.into_response();
    if let Some(allow) = answer.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

/// Lets requests with a valid credential pass and adds the caller. Long request and response bodies
/// break off when the credential ends.
#[derive(Debug, Clone)]
pub(crate) struct Authenticate(pub(crate) ApiState);

#[derive(Debug, Clone)]
pub(crate) struct Authenticated<S> {
    shared: ApiState,
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
        let Err(refusal) = extractors::authenticate(&self.shared, &mut request) else {
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
