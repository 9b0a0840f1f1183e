//! Where a connection comes from, as its requests carry it to their handlers.

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;

use super::body_timeout::with_timeout;
use super::connection_limit::ConnectionSlotHolder;
use crate::caller::PeerAddress;

/// An extension of requests that came over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer<'a> {
    pub(super) address: PeerAddress,
    pub(super) introduction: &'a ConnectionSlotHolder,
    pub(super) over_tls: bool,
}

impl Peer<'_> {
    /// The request with what handlers may ask of its connection.
    pub(super) fn put_on(&self, request: Request<Incoming>) -> Request<Body> {
        let mut request = request.map(|body| with_timeout(Body::new(body)));
        let extensions = request.extensions_mut();
        extensions.insert(self.address);
        extensions.insert(self.introduction.clone());
        if self.over_tls {
            extensions.insert(OverTls);
        }
        request
    }
}
