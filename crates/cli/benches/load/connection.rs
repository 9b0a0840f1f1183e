//! Connection of one device: TLS to the cluster's own certificate, with HTTP/2.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::process::Coordinator;

/// HTTP/2 flow-control window of the device. A worker's client has a larger one; this is enough
/// here.
const WINDOW: u32 = 64 * 1024;

/// Address and credentials of the coordinator.
pub(crate) struct Server {
    authority: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    /// Public key pin that devices include in their signature.
    pub(crate) pin: protocol::Pin,
    /// Token of an administrator.
    pub(crate) token: String,
}

pub(crate) struct Connection {
    requests: SendRequest<Pieces>,
    server: Arc<Server>,
}

/// Request body in pieces that can be shared with other requests.
#[derive(Default)]
pub(crate) struct Pieces(VecDeque<Bytes>);

pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Server {
    pub(crate) fn new(coordinator: &Coordinator) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(&coordinator.certificate)
            .context("the cluster's certificate can't be read")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = PinnedCertificate { certificate, provider: provider.clone() };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = protocol::pin::server_name(&coordinator.cluster);
        Ok(Self {
            authority: coordinator.authority.clone(),
            name: ServerName::try_from(name)?,
            tls: TlsConnector::from(Arc::new(config)),
            pin: coordinator.pin,
            token: coordinator.token.clone(),
        })
    }
}

impl Connection {
    pub(crate) async fn open(server: &Arc<Server>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&server.authority).await.context("can't connect")?;
        stream.set_nodelay(true)?;
        let stream = server
            .tls
            .connect(server.name.clone(), stream)
            .await
            .context("the TLS handshake failed")?;
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .context("the HTTP/2 handshake failed")?;
        // Its error is also returned by the requests that fail.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { requests, server: server.clone() })
    }

    /// `token` is empty if the path needs none.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Pieces,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Response> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.server.authority))
            .header(protocol::PROTOCOL_HEADER, protocol::PROTOCOL_VERSION);
        if !token.is_empty() {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let request = builder.body(body).context("can't build the request")?;
        let response = self.requests.clone().send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Response { status, body })
    }

    /// Sends and receives JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> anyhow::Result<T> {
        let body = match body {
            Some(body) => Pieces::from(Bytes::from(serde_json::to_vec(body)?)),
            None => Pieces::default(),
        };
        let headers = [("content-type", "application/json")];
        self.request(method.clone(), path, token, body, &headers).await?.json(&method, path)
    }
}

impl Response {
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
    ) -> anyhow::Result<T> {
        self.expect_success(method, path)?;
        serde_json::from_slice(&self.body).with_context(|| format!("{method} {path}"))
    }

    pub(crate) fn expect_success(&self, method: &Method, path: &str) -> anyhow::Result<()> {
        if !self.status.is_success() {
            let body = String::from_utf8_lossy(&self.body);
            bail!("{method} {path}: {}: {body}", self.status);
        }
        Ok(())
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self(VecDeque::from([bytes]))
    }
}

impl<const N: usize> From<[Bytes; N]> for Pieces {
    fn from(pieces: [Bytes; N]) -> Self {
        Self(VecDeque::from(pieces))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// Verifier that trusts one certificate only.
#[derive(Debug)]
struct PinnedCertificate {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
