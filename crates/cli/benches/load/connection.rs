//! One connection of one device: TLS to the cluster's own certificate, HTTP/2 within.

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

/// Of a device's end; a worker's client has more, and needs it no more than this does.
const WINDOW: u32 = 64 * 1024;

/// Where connections go.
pub(crate) struct Server {
    authority: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    /// What devices sign that they speak to.
    pub(crate) pin: protocol::Pin,
    /// An administrator's.
    pub(crate) token: String,
}

pub(crate) struct Connection {
    requests: SendRequest<Pieces>,
    server: Arc<Server>,
}

/// What a request carries, in pieces that may be shared with other requests.
#[derive(Default)]
pub(crate) struct Pieces(VecDeque<Bytes>);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Server {
    pub(crate) fn of(coordinator: &Coordinator) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(&coordinator.certificate)
            .context("the cluster's certificate can't be read")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let only = OnlyThis { certificate, provider: provider.clone() };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(only))
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
        let stream = TcpStream::connect(&server.authority).await.context("no connection")?;
        stream.set_nodelay(true)?;
        let stream = server.tls.connect(server.name.clone(), stream).await.context("no TLS")?;
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .context("no HTTP/2")?;
        // Why it ended is told by the requests that it fails.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { requests, server: server.clone() })
    }

    /// `token` is empty where the path takes none.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Pieces,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.server.authority))
            .header(protocol::PROTOCOL_HEADER, protocol::PROTOCOL_VERSION);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).context("a wrong request")?;
        let response = self.requests.clone().send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }

    /// Sends JSON and takes JSON.
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
        self.ask(method.clone(), path, token, body, &headers).await?.json(&method, path)
    }
}

impl Answer {
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

/// Trusts one certificate and no other.
#[derive(Debug)]
struct OnlyThis {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OnlyThis {
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
