//! The way through a proxy for a client that can't take it by itself: requests name the cluster's own key
//! and not the host (see [`crate::pinned_tls`]), so no proxy can be told where they go.
//!
//! The client connects to a socket that is this process's own, in a folder that nobody else may enter. For
//! each such connection one is made to the coordinator, and bytes are carried both ways: TLS is spoken
//! from end to end.

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

use crate::pinned_tls::Address;
use crate::proxy::{self, Proxy, ProxyRoute};
use crate::response::RequestError;

/// For a connection to be there, with what the proxy says to it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a proxy's answer before the tunnel.
const LONGEST_ANSWER: usize = 16 << 10;

/// Ends, with every connection in it, when it is dropped.
pub(crate) struct Tunnel {
    folder: TempDir,
    trouble: TunnelError,
    _end: DropGuard,
}

/// Why the last connection could not be made, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct TunnelError(Arc<Mutex<Option<String>>>);

impl Tunnel {
    /// Begins to carry connections to `address`.
    ///
    /// # Errors
    /// Where there is no room for a socket, or no runtime.
    pub(crate) fn open(address: &Address) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        // The system's folder for such things: paths of sockets must be short.
        let folder = tempfile::Builder::new().prefix("constellation-").tempdir()?;
        let bound = Bound::bind(socket(&folder))?;
        bound.set_nonblocking(true)?;
        let end = CancellationToken::new();
        let (trouble, ended) = (TunnelError::default(), end.clone());
        let carrying = accept(bound, address.clone(), trouble.clone());
        runtime.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                result = carrying => if let Err(error) = result {
                    tracing::error!(%error, "nothing more goes through the proxy");
                },
            }
        });
        Ok(Self { folder, trouble, _end: end.drop_guard() })
    }

    /// Where the client connects to.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    pub(crate) fn trouble(&self) -> TunnelError {
        self.trouble.clone()
    }
}

impl TunnelError {
    /// The error, in the words of the last connection where it failed by that.
    pub(crate) fn explained(&self, error: RequestError) -> RequestError {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (error, words) {
            (RequestError::Unreachable(_), Some(words)) => RequestError::Unreachable(words),
            (error, _) => error,
        }
    }

    fn set(&self, words: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }
}

/// A connection to this address, by the way that there is now.
///
/// # Errors
/// Says where the proxy is at fault.
pub async fn connect(address: &Address) -> io::Result<TcpStream> {
    let (asked, host, port) = (address.clone(), address.host().to_owned(), address.port());
    let way = tokio::task::spawn_blocking(move || proxy::way(&asked)).await?;
    let connecting = async {
        match &way {
            ProxyRoute::Through(proxy) => through(proxy, address).await,
            ProxyRoute::Straight(_) => TcpStream::connect((host.as_str(), port)).await,
            ProxyRoute::Unusable(reason) => {
                tracing::warn!(reason, "going without a proxy");
                TcpStream::connect((host.as_str(), port)).await
            }
        }
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {PATIENCE:?}"));
    timeout(PATIENCE, connecting).await.unwrap_or_else(|_| Err(late()))
}

async fn accept(bound: Bound, address: Address, trouble: TunnelError) -> io::Result<()> {
    let listener = UnixListener::from_std(bound)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(carry(accepted?.0, address.clone(), trouble.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: UnixStream, address: Address, trouble: TunnelError) {
    let mut coordinator = match connect(&address).await {
        Ok(connection) => connection,
        // The client sees its connection end; why, it asks for.
        Err(error) => {
            tracing::debug!(%error, "no connection");
            return trouble.set(Some(error.to_string()));
        }
    };
    trouble.set(None);
    if let Err(error) = copy_bidirectional(&mut client, &mut coordinator).await {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Asks the proxy for a connection to the address.
async fn through(proxy: &Proxy, address: &Address) -> io::Result<TcpStream> {
    let failed = |kind, words: String| io::Error::new(kind, format!("{proxy} {words}"));
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
    // A byte at a time: what comes after the answer is not ours to read.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == LONGEST_ANSWER {
            return Err(failed(io::ErrorKind::InvalidData, "answers without end".into()));
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) => return Err(failed(error.kind(), format!("broke off: {error}"))),
        }
    }
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or(&[]));
    let status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(stream),
        Some(_) => {
            let said = line.split_once(' ').map_or("nothing", |(_, said)| said.trim());
            let words = format!("won't connect to {target}: {said}");
            Err(failed(io::ErrorKind::ConnectionRefused, words))
        }
        None => Err(failed(io::ErrorKind::InvalidData, "doesn't answer as a proxy does".into())),
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("way")
}
