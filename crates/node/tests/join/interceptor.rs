//! A man in the middle between a worker and its coordinator: terminates the worker's TLS with its own certificate and
//! forwards all bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use protocol::Pin;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) struct Interceptor {
    address: SocketAddr,
    /// Pin of its own key.
    pub(crate) pin: Pin,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Interceptor {
    pub(crate) async fn start(coordinator: SocketAddr) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["join.constellation.internal".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pin = Pin::from_public_key(&key.subject_public_key_info());
        let own_key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let accepting = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], own_key)
            .unwrap();
        let connecting = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(
                Arc::new(default_provider()),
            )))
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(accepting));
        let connector = TlsConnector::from(Arc::new(connecting));
        let copy = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(forward(stream, coordinator, acceptor, connector, copy.clone()));
            }
        });
        Self { address, pin, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Plaintext that workers have sent.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

/// Forwards one connection. Fails if the worker rejects the certificate.
async fn forward(
    stream: TcpStream,
    coordinator: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    received: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    let worker = acceptor.accept(stream).await?;
    let name = ServerName::try_from("join.constellation.internal").unwrap();
    let upstream = connector.connect(name, TcpStream::connect(coordinator).await?).await?;
    let (mut from_worker, mut to_worker) = tokio::io::split(worker);
    let (mut from_coordinator, mut to_coordinator) = tokio::io::split(upstream);
    let up = async {
        let mut bytes = vec![0; 16_384];
        loop {
            let read = from_worker.read(&mut bytes).await?;
            if read == 0 {
                return to_coordinator.shutdown().await;
            }
            received.lock().unwrap().extend_from_slice(&bytes[..read]);
            to_coordinator.write_all(&bytes[..read]).await?;
            to_coordinator.flush().await?;
        }
    };
    let down = tokio::io::copy(&mut from_coordinator, &mut to_worker);
    tokio::try_join!(up, down).map(drop)
}

/// Accepts every certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
