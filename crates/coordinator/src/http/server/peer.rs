//! Properties of a connection that its requests carry as extensions.

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;

use super::body_timeout::with_timeout;
use super::connection_limit::ConnectionSlotHolder;
use crate::access::caller::PeerAddress;

/// Extension of requests that came over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

/// The remote end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) address: PeerAddress,
    pub(crate) slot_holder: &'a ConnectionSlotHolder,
    pub(crate) over_tls: bool,
}

impl Peer<'_> {
    /// Adds the connection's properties to a request, and the timeout to its body.
    pub(crate) fn attach_to(&self, request: Request<Incoming>) -> Request<Body> {
        let mut request = request.map(|body| with_timeout(Body::new(body)));
        let extensions = request.extensions_mut();
        extensions.insert(self.address);
        extensions.insert(self.slot_holder.clone());
        if self.over_tls {
            extensions.insert(OverTls);
        }
        request
    }
}
