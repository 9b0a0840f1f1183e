//! Somebody between a worker and its coordinator: ends the worker's TLS with a certificate of its own,
//! and passes everything on.

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

pub(crate) struct Between {
    address: SocketAddr,
    /// Of its own key.
    pub(crate) pin: Pin,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Between {
    pub(crate) async fn start(coordinator: SocketAddr) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["join.constellation.internal".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pin = Pin::of_public_key(&key.subject_public_key_info());
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
            .with_custom_certificate_verifier(Arc::new(Anybody(Arc::new(default_provider()))))
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let acceptor = TlsAcceptor::from(Arc::new(accepting));
        let connector = TlsConnector::from(Arc::new(connecting));
        let all = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                tokio::spawn(pass_on(stream, coordinator, acceptor, connector, all.clone()));
            }
        });
        Self { address, pin, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// All that workers said, in the clear.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

/// A worker that refuses the certificate ends this.
async fn pass_on(
    stream: TcpStream,
    coordinator: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    seen: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    let worker = acceptor.accept(stream).await?;
    let name = ServerName::try_from("join.constellation.internal").unwrap();
    let beyond = connector.connect(name, TcpStream::connect(coordinator).await?).await?;
    let (mut from_worker, mut to_worker) = tokio::io::split(worker);
    let (mut from_beyond, mut to_beyond) = tokio::io::split(beyond);
    let up = async {
        let mut bytes = vec![0; 16_384];
        loop {
            let read = from_worker.read(&mut bytes).await?;
            if read == 0 {
                return to_beyond.shutdown().await;
            }
            seen.lock().unwrap().extend_from_slice(&bytes[..read]);
            to_beyond.write_all(&bytes[..read]).await?;
            to_beyond.flush().await?;
        }
    };
    let down = tokio::io::copy(&mut from_beyond, &mut to_worker);
    tokio::try_join!(up, down).map(drop)
}

/// Doesn't care who the coordinator is.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
