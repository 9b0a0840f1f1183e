//! Socket server with a limit on connections. Limits for each peer are in `connection`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection::Connections;
use super::connection_limit::ConnectionLimit;
use crate::access::caller::PeerAddress;

/// Connection limit. Beyond it, peers wait until a connection closes.
const MOST_CONNECTIONS: usize = 20_000;
/// Timeout of requests in progress when the coordinator stops.
const GRACE: Duration = Duration::from_secs(5);
/// Delay after the system failed to accept a connection, mostly for lack of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until `stopping`, then finishes requests in progress.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: ServerConfig,
    stopping: CancellationToken,
) {
    let open = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let strangers = ConnectionLimit::default();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    // A listener that doesn't know its address accepts no connections either.
    let port = listener.local_addr().map_or(0, |address| address.port());
    let connections = Arc::new(Connections::new(router, acceptor, stopping.clone(), port));
    loop {
        let permit = tokio::select! {
            permit = room.clone().acquire_owned() => permit,
            () = stopping.cancelled() => break,
        };
        let Ok(permit) = permit else { break };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, PeerAddress::from(peer)),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            },
            () = stopping.cancelled() => break,
        };
        let Some(introduction) = strangers.admit(peer.0) else {
            tracing::debug!(peer = %peer.0, "too many unauthenticated connections from an address");
            continue;
        };
        let (connections, watcher) = (connections.clone(), open.watcher());
        tokio::spawn(async move {
            connections.serve(stream, peer, &introduction, watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    drop(tokio::time::timeout(GRACE, open.shutdown()).await);
}
