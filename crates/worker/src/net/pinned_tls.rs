//! TLS to the holder of one pinned key. This module alone decides whom a client trusts.
//!
//! The pin identifies the coordinator; the address is a hint where to find it. The server name in the
//! handshake is therefore constant, and no certificate authority and no date is checked: the peer
//! proves with the handshake's signature that it has the pinned key. If a proxy is set, connections go
//! through a [`Tunnel`].

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use protocol::Pin;
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};

pub use super::address::{Address, InvalidAddress};
use super::proxy;
use super::tunnel::{Tunnel, TunnelError};

/// Error: a server with another key answers at the coordinator's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server at {address} is not the coordinator that this machine trusts: its pin is {seen}, \
     but {expected} is trusted. If the coordinator was set up again, enroll with a new join \
     code (or give its new pin). Otherwise the address is wrong, or another server impersonates the \
     coordinator: contact your administrator. Nothing was sent to it"
)]
pub struct WrongPin {
    pub address: Address,
    pub expected: Pin,
    pub seen: Pin,
}

/// Configures a client to connect to `address`, by URLs with its [`Address::base`], and to accept only the
/// holder of the key of `pin`. If a proxy applies, this needs a Tokio runtime.
///
/// # Errors
/// TLS or the tunnel can't be set up.
pub fn pinned(
    client: ClientBuilder,
    address: &Address,
    pin: Pin,
) -> Result<ClientBuilder, rustls::Error> {
    trusted(client, address, pin).map(|(client, _)| client)
}

/// Like [`pinned`]; also returns the tunnel's last error, if a proxy applies.
pub(crate) fn trusted(
    client: ClientBuilder,
    address: &Address,
    pin: Pin,
) -> Result<(ClientBuilder, Option<TunnelError>), rustls::Error> {
    let expected_address = address.clone();
    verified(client, address, move |seen| {
        if seen == pin {
            return Ok(());
        }
        let wrong = WrongPin { address: expected_address.clone(), expected: pin, seen };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    })
}

/// Configures a client to connect to `address`, by URLs with its [`Address::base`], and to accept the pins
/// for which `check` succeeds. Also returns the tunnel's last error, if a proxy applies.
pub(crate) fn verified(
    client: ClientBuilder,
    address: &Address,
    check: impl Fn(Pin) -> Result<(), rustls::Error> + Send + Sync + 'static,
) -> Result<(ClientBuilder, Option<TunnelError>), rustls::Error> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let verifier = Arc::new(Verifier { check, algorithms });
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = client.no_proxy().https_only(true).tls_backend_preconfigured(config);
    let tunnel = proxy::may_apply(address).then(|| Tunnel::open(address)).transpose();
    let tunnel = tunnel.map_err(|error| {
        rustls::Error::General(format!("can't open a tunnel for the proxy: {error}"))
    })?;
    let tunnel_error = tunnel.as_ref().map(Tunnel::last_error);
    let client = match &tunnel {
        Some(tunnel) => client.unix_socket(tunnel.socket()),
        None => client,
    };
    let resolver = Arc::new(FixedResolver { host: address.host().to_owned(), _tunnel: tunnel });
    Ok((client.dns_resolver(resolver), tunnel_error))
}

impl WrongPin {
    /// Returns the wrong pin that made a request fail, if that is the cause.
    pub fn behind(error: &reqwest::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = tls_error(error)?
        else {
            return None;
        };
        other.0.downcast_ref::<Self>().cloned()
    }
}

/// Returns the TLS error that made a request fail, if there is one.
pub fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    within(error)
}

fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    // `io::Error::source` skips the error that it wraps, so unwrap it here.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => within(wrapped),
        None => within(error.source()?),
    }
}

/// Resolves every name to one host.
struct FixedResolver {
    host: String,
    /// Kept here because the resolver lives as long as the client, even if it is never asked.
    _tunnel: Option<Tunnel>,
}

impl Resolve for FixedResolver {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.host.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}

/// Checks the peer's public key with `check`. The handshake's signature is verified as usual.
struct Verifier<C> {
    check: C,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<C> fmt::Debug for Verifier<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl<C: Fn(Pin) -> Result<(), rustls::Error> + Send + Sync> ServerCertVerifier for Verifier<C> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        (self.check)(Pin::from_public_key(key.as_ref()))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
