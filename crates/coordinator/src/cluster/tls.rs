//! TLS configuration of the coordinator: protocol versions and the choice of certificate.

use std::sync::Arc;

use protocol::pin::asks_for_cluster_key;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};

use super::own::Current;

/// ALPN name of HTTP/2, which is preferred because a device then needs only one connection.
pub(crate) const HTTP2: &[u8] = b"h2";
/// ALPN name of HTTP/1.1.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// Returns a configuration for TLS 1.3 and 1.2. Clients that request the cluster's server name get the
/// cluster's certificate; others get the company's own if there is one.
pub(crate) fn server_config(
    cluster: Arc<CertifiedKey>,
    own: Option<Arc<Current>>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Certificates { cluster, own }));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    // Stateless tickets let many devices resume at once; the clients keep the session state.
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

#[derive(Debug)]
struct Certificates {
    cluster: Arc<CertifiedKey>,
    own: Option<Arc<Current>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(match &self.own {
            Some(own) if !hello.server_name().is_some_and(asks_for_cluster_key) => own.certified(),
            Some(_) | None => self.cluster.clone(),
        })
    }
}
