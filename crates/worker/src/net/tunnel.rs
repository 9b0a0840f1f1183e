//! Tunnel through an HTTP proxy. The HTTP client can't use the proxy by itself, because its requests name
//! the pinned server and not the real host (see [`super::pinned_tls`]).
//!
//! The client connects to a Unix socket of this process, in a folder that only this user can open. For
//! each such connection the tunnel opens one to the coordinator and copies bytes both ways. TLS runs end to
//! end.

use std::io;
use std::os::unix::net::UnixListener as Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::address::Address;
use super::proxy::{self, Proxy, ProxyRoute};

/// Time limit for a connection, including the proxy's answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length in bytes of the proxy's answer to CONNECT.
const MAXIMUM_ANSWER: usize = 16 << 10;

/// Open tunnel. Dropping it closes all of its connections.
pub(crate) struct Tunnel {
    folder: TempDir,
    last_error: TunnelError,
    _end: DropGuard,
}

/// Message of the last connection's error, shared with the client.
#[derive(Debug, Clone, Default)]
pub(crate) struct TunnelError(Arc<Mutex<Option<String>>>);

impl Tunnel {
    /// Starts accepting connections for `address`.
    ///
    /// # Errors
    /// The socket can't be created, or there is no Tokio runtime.
    pub(crate) fn open(address: &Address) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        // In the system's temporary folder, because paths of sockets must be short.
        let folder = tempfile::Builder::new().prefix("constellation-").tempdir()?;
        let bound = Bound::bind(socket(&folder))?;
        bound.set_nonblocking(true)?;
        let end = CancellationToken::new();
        let (last_error, ended) = (TunnelError::default(), end.clone());
        let accepting = accept(bound, address.clone(), last_error.clone());
        runtime.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                result = accepting => if let Err(error) = result {
                    tracing::error!(%error, "the proxy tunnel failed");
                },
            }
        });
        Ok(Self { folder, last_error, _end: end.drop_guard() })
    }

    /// Path of the socket that the client connects to.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    pub(crate) fn last_error(&self) -> TunnelError {
        self.last_error.clone()
    }
}

impl TunnelError {
    /// Message of the last connection, or `None` if it succeeded.
    pub(crate) fn message(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, message: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = message;
    }
}

/// Connects to an address by the current [`ProxyRoute`].
///
/// # Errors
/// The connection failed. The message names the proxy if the proxy is the cause.
pub async fn connect(address: &Address) -> io::Result<TcpStream> {
    let (target, host, port) = (address.clone(), address.host().to_owned(), address.port());
    let route = tokio::task::spawn_blocking(move || proxy::route(&target)).await?;
    let connecting = async {
        match &route {
            ProxyRoute::Through(proxy) => connect_through(proxy, address).await,
            ProxyRoute::Direct(_) => TcpStream::connect((host.as_str(), port)).await,
            ProxyRoute::Unusable(reason) => {
                tracing::warn!(reason, "connecting without the proxy, because it can't be used");
                TcpStream::connect((host.as_str(), port)).await
            }
        }
    };
    let timed_out =
        || io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {CONNECT_TIMEOUT:?}"));
    timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(timed_out()))
}

async fn accept(bound: Bound, address: Address, last_error: TunnelError) -> io::Result<()> {
    let listener = UnixListener::from_std(bound)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(relay(accepted?.0, address.clone(), last_error.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: UnixStream, address: Address, last_error: TunnelError) {
    let mut coordinator = match connect(&address).await {
        Ok(connection) => connection,
        // The client only sees its connection close, and reads the reason from `last_error`.
        Err(error) => {
            tracing::debug!(%error, "the tunnel can't connect");
            return last_error.set(Some(error.to_string()));
        }
    };
    last_error.set(None);
    if let Err(error) = copy_bidirectional(&mut client, &mut coordinator).await {
        tracing::debug!(%error, "a connection through the tunnel broke");
    }
}

/// Asks the proxy for a connection to the address by CONNECT.
async fn connect_through(proxy: &Proxy, address: &Address) -> io::Result<TcpStream> {
    let failed = |kind, message: String| io::Error::new(kind, format!("{proxy} {message}"));
    let connected = TcpStream::connect((proxy.host.as_str(), proxy.port)).await;
    let mut stream =
        connected.map_err(|error| failed(error.kind(), format!("can't be reached: {error}")))?;
    stream.set_nodelay(true)?;
    let target = address.host_and_port();
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    // One byte at a time: the bytes after the answer belong to the TLS connection.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAXIMUM_ANSWER {
            let message = format!("sent more than {MAXIMUM_ANSWER} bytes before a connection");
            return Err(failed(io::ErrorKind::InvalidData, message));
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) => {
                return Err(failed(error.kind(), format!("closed the connection: {error}")));
            }
        }
    }
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or(&[]));
    let status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(stream),
        Some(_) => {
            let reason = line.split_once(' ').map_or("no reason given", |(_, text)| text.trim());
            let message = format!("refused to connect to {target}: {reason}");
            Err(failed(io::ErrorKind::ConnectionRefused, message))
        }
        None => Err(failed(io::ErrorKind::InvalidData, "sent no HTTP answer to CONNECT".into())),
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("way")
}
