//! Speaking to the coordinator that has a certain key, wherever it is, and to nobody else.
//!
//! The pin says who is meant, and the address only where to look. So the name in the handshake is
//! always the same, no authority is asked, and neither is the date: the peer proves by the
//! handshake's signature that it has the key of the pin. Where a proxy is set, the way is a
//! [`Tunnel`]'s.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use protocol::Pin;
use protocol::pin::pinned_server_name;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};

use crate::proxy;
use crate::tunnel::{Tunnel, TunnelError};

/// Somebody else answers where the coordinator should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "what answers at {address} is not the coordinator that this machine trusts: its pin is {seen}, \
     and {expected} is trusted. If the coordinator was set up anew, enrol again with a new join \
     code (or give its new pin); if not, the address is wrong, or somebody poses as the \
     coordinator: tell your administrator. Nothing was sent to it"
)]
pub struct WrongPin {
    pub address: Address,
    pub expected: Pin,
    pub seen: Pin,
}

/// Where a coordinator listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address, the latter without brackets.
    host: String,
    port: u16,
}

/// Text that is no address of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a coordinator's address such as https://192.168.1.10:8000")]
pub struct InvalidAddress(pub String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let url = Url::parse(text).map_err(|_| invalid())?;
        let is_bare = url.scheme() == "https" && url.path() == "/" && url.query().is_none();
        let host = url.host_str().filter(|_| is_bare).ok_or_else(invalid)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port: url.port_or_known_default().ok_or_else(invalid)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// A name or an address, the latter without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// As a join code names it.
    pub(crate) fn host_and_port(&self) -> String {
        self.to_string().trim_start_matches("https://").to_owned()
    }

    /// What requests of a client made by [`pinned`] begin their URL with: whatever the host is, the
    /// handshake asks for the cluster's own key.
    pub fn base(&self) -> String {
        format!("https://{}:{}", pinned_server_name(), self.port)
    }
}

/// Makes a client one that reaches `address`, by its [`Address::base`], and takes nobody there but
/// who has the key of `pin`. Where a proxy has a say in the way, this needs a runtime.
///
/// # Errors
/// Where TLS can't be set up at all.
pub fn pinned(
    client: ClientBuilder,
    address: &Address,
    pin: Pin,
) -> Result<ClientBuilder, rustls::Error> {
    trusted(client, address, pin).map(|(client, _)| client)
}

/// As [`pinned`], and whom to ask for what a proxy did.
pub(crate) fn trusted(
    client: ClientBuilder,
    address: &Address,
    pin: Pin,
) -> Result<(ClientBuilder, Option<TunnelError>), rustls::Error> {
    let wanted = address.clone();
    verified(client, address, move |seen| {
        if seen == pin {
            return Ok(());
        }
        let wrong = WrongPin { address: wanted.clone(), expected: pin, seen };
        Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
    })
}

/// Makes a client one that reaches `address`, by its [`Address::base`], and takes there whose pin
/// `judge` lets pass; with whom to ask for what a proxy did, where one has a say.
pub(crate) fn verified(
    client: ClientBuilder,
    address: &Address,
    judge: impl Fn(Pin) -> Result<(), rustls::Error> + Send + Sync + 'static,
) -> Result<(ClientBuilder, Option<TunnelError>), rustls::Error> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let verifier = Arc::new(Verifier { judge, algorithms });
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = client.no_proxy().https_only(true).tls_backend_preconfigured(config);
    let tunnel = proxy::may_be(address).then(|| Tunnel::open(address)).transpose();
    let tunnel = tunnel.map_err(|error| {
        rustls::Error::General(format!("there is no way through the proxy: {error}"))
    })?;
    let trouble = tunnel.as_ref().map(Tunnel::trouble);
    let client = match &tunnel {
        Some(tunnel) => client.unix_socket(tunnel.socket()),
        None => client,
    };
    let resolver = Arc::new(FixedResolver { host: address.host.clone(), _tunnel: tunnel });
    Ok((client.dns_resolver(resolver), trouble))
}

impl WrongPin {
    /// What a request failed by, if it was this.
    pub fn behind(error: &reqwest::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = tls_error(error)?
        else {
            return None;
        };
        other.0.downcast_ref::<Self>().cloned()
    }
}

/// What TLS refused, where a request failed by that.
pub fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    within(error)
}

fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    // An I/O error leaves itself out of the chain of what it holds.
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match held {
        Some(held) => within(held),
        None => within(error.source()?),
    }
}

/// Resolves every name to one host.
struct FixedResolver {
    host: String,
    /// Lives as long as the client, which keeps its resolver even where it asks none.
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

/// Asks `judge` about the peer's key; that the peer has that key is checked as ever.
struct Verifier<J> {
    judge: J,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<J> fmt::Debug for Verifier<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl<J: Fn(Pin) -> Result<(), rustls::Error> + Send + Sync> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        (self.judge)(Pin::of_public_key(key.as_ref()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_a_host_and_a_port() {
        for (text, host, shown) in [
            ("https://192.0.2.7:8000", "192.0.2.7", "https://192.0.2.7:8000"),
            ("https://lab.example/", "lab.example", "https://lab.example:443"),
            ("https://[2001:db8::1]:8000", "2001:db8::1", "https://[2001:db8::1]:8000"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.host, host);
            assert_eq!(address.to_string(), shown);
        }
        for text in ["http://192.0.2.7:8000", "192.0.2.7:8000", "https://lab.example/path", "x"] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress(text.to_owned())));
        }
    }
}
