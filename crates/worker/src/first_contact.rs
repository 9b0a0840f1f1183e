//! Joining by a typed code: finding out which certificate is the cluster's, from a coordinator that
//! nothing is known of yet but that it should know the code.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::join::JoinSecret;
use protocol::join::exchange::{Asking, CHANCE_BYTES, JoinAnswer, NotProven};
use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error as TlsError, SignatureScheme};

use crate::answer::{RequestError, answer, json};
use crate::identity::Cluster;
use crate::pinned::{Address, verified};

/// For each of the two requests.
const PATIENCE: Duration = Duration::from_secs(20);

/// The cluster of the coordinator at `url`, if that proves that it knows the code. Nothing that would
/// enrol a device is sent.
pub(crate) async fn join(
    url: &str,
    secret: &JoinSecret,
) -> Result<Result<Cluster, NotProven>, RequestError> {
    let address: Address = url.parse()?;
    let seen = Arc::new(FirstSeen::new());
    let http = client(&address, seen.clone())?;
    let path = |path: &str| format!("{}{path}", address.base());
    // The exchange is bound to the certificate, so that must be seen before it begins.
    let health = http.get(path("/health")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    answer(health, PATIENCE).await?;
    let pin = seen.pin().ok_or_else(|| RequestError::Nonsense("no certificate".into()))?;
    let chance: [u8; CHANCE_BYTES] = rand::random();
    let asking = Asking::begin(secret, pin, chance);
    let join = http.post(path("/join")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    let said: JoinAnswer = json(answer(join.json(asking.request()), PATIENCE).await?).await?;
    Ok(asking.check(&said).map(|()| Cluster {
        id: said.cluster_id,
        name: said.cluster_name,
        pin,
        addresses: vec![address.host_and_port()],
    }))
}

fn client(address: &Address, seen: Arc<FirstSeen>) -> Result<reqwest::Client, RequestError> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5));
    let impossible = |error: &dyn std::error::Error| {
        RequestError::Unreachable(format!("can't set up TLS: {error}"))
    };
    let builder = verified(builder, address, seen).map_err(|error| impossible(&error))?;
    builder.build().map_err(|error| impossible(&error))
}

/// Accepts the first certificate's key, and from then on that one alone. That the peer holds the key
/// is checked as ever; whose key it is, the exchange finds out.
#[derive(Debug)]
struct FirstSeen {
    algorithms: WebPkiSupportedAlgorithms,
    pin: OnceLock<Pin>,
}

impl FirstSeen {
    fn new() -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { algorithms, pin: OnceLock::new() }
    }

    fn pin(&self) -> Option<Pin> {
        self.pin.get().copied()
    }
}

impl ServerCertVerifier for FirstSeen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let pin = Pin::of_public_key(key.as_ref());
        if *self.pin.get_or_init(|| pin) == pin {
            return Ok(ServerCertVerified::assertion());
        }
        Err(TlsError::General("another certificate than a moment ago".into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
