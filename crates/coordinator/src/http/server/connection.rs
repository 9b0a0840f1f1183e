//! One connection: protocol detection, limits and timeouts.
//!
//! All protocols share one port; the first byte distinguishes TLS from plain HTTP. Plain HTTP is
//! only for this machine; other machines get a response that says to use https.
//!
//! A large fleet has 10,000 connections, nearly all waiting. State that a connection needs only at
//! its start is therefore on the heap and freed afterwards.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connection_limit::ConnectionSlotHolder;
use super::in_flight::InFlightRequests;
use super::peer::Peer;
use super::{headers, host};
use crate::access::caller::PeerAddress;
use crate::cluster::HTTP2;

/// Timeout from a connection's start to the end of its handshake, or to the first byte of plain
/// HTTP.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// HTTP/1: timeout for a request's headers, and for the next request of a connection.
const HEADERS: Duration = Duration::from_secs(30);
/// Idle timeout: a connection without a request is closed after once to twice this time. After four
/// times as long, a connection whose peer reads none of its responses is closed too.
const IDLE: Duration = Duration::from_mins(1);
/// HTTP/2 ping interval of a silent connection. It detects a device that disappeared.
const ASK: Duration = Duration::from_mins(1);
/// HTTP/2 ping timeout.
const ANSWER: Duration = Duration::from_secs(20);
/// Time that a rejected peer has to read the response.
const GOODBYE: Duration = Duration::from_secs(2);

/// HTTP/2 windows: bytes that a peer may send before they are read, for a request and for its
/// connection. They limit the memory that a hostile peer can use.
const AHEAD_OF_STREAM: u32 = 256 << 10;
const AHEAD_OF_CONNECTION: u32 = 512 << 10;
/// Buffer size of responses to a slow peer, and of a single read.
const BUFFER: usize = 64 << 10;
/// Maximum size of a request's headers in bytes.
const LONGEST_HEADERS: u32 = 16 << 10;
/// Size of the HPACK table. It is 0 because tables for 10,000 waiting connections cost more memory,
/// on both sides, than the headers of the next request cost bytes.
const REMEMBERED_HEADERS: u32 = 0;
/// HTTP/1: maximum number of headers.
const MOST_HEADERS: usize = 100;
/// Maximum number of concurrent requests of a connection. A dashboard has about twelve, a device
/// three.
const MOST_STREAMS: u32 = 64;
/// Maximum number of streams that a peer may reset early, and of invalid streams. More only waste
/// work (CVE-2023-44487).
const MOST_TAKEN_BACK: usize = 20;
const MOST_WRONG: usize = 128;

/// First byte of a TLS record that starts a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
const USE_HTTPS: &str = "This coordinator speaks HTTPS here: begin its address with https://\n";

/// Settings for serving connections.
pub(crate) struct Connections {
    router: Router,
    acceptor: TlsAcceptor,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    stopping: CancellationToken,
    /// Port that plain requests must name in their host.
    port: u16,
}

/// Protocol of a connection, by its first byte and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionProtocol {
    Tls,
    Plain,
    /// Plain HTTP from another machine.
    PlainFromAfar,
}

/// Connection whose protocol is known.
enum Begun {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Http2(Box<TlsStream<TcpStream>>),
    TurnedAway,
}

impl Connections {
    pub(crate) fn new(
        router: Router,
        acceptor: TlsAcceptor,
        stopping: CancellationToken,
        port: u16,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(BUFFER)
            .max_header_size(LONGEST_HEADERS as usize)
            .max_headers(MOST_HEADERS);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(ASK)
            .keep_alive_timeout(ANSWER)
            .initial_stream_window_size(AHEAD_OF_STREAM)
            .initial_connection_window_size(AHEAD_OF_CONNECTION)
            .max_send_buf_size(BUFFER)
            .max_header_list_size(LONGEST_HEADERS)
            .header_table_size(REMEMBERED_HEADERS)
            .max_concurrent_streams(MOST_STREAMS)
            .max_pending_accept_reset_streams(MOST_TAKEN_BACK)
            .max_local_error_reset_streams(MOST_WRONG);
        Self { router, acceptor, http1, http2, stopping, port }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(
        &self,
        stream: TcpStream,
        peer: PeerAddress,
        slot_holder: &ConnectionSlotHolder,
        watcher: Watcher,
    ) {
        // Responses are small, and peers wait for them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY on a connection");
        }
        let begun = tokio::select! {
            begun = timeout(HANDSHAKE, Box::pin(self.begin(stream, peer))) => begun,
            () = self.stopping.cancelled() => return,
        };
        let begun = begun.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let ended = match begun {
            Ok(Begun::Plain(stream)) => {
                let from = Peer { address: peer, slot_holder, over_tls: false };
                Box::pin(self.http1(stream, from, watcher)).await
            }
            Ok(Begun::Tls(stream)) => {
                let from = Peer { address: peer, slot_holder, over_tls: true };
                Box::pin(self.http1(stream, from, watcher)).await
            }
            Ok(Begun::Http2(stream)) => {
                let from = Peer { address: peer, slot_holder, over_tls: true };
                Box::pin(self.http2(stream, from, watcher)).await
            }
            Ok(Begun::TurnedAway) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, peer = %peer.0, "a handshake failed");
                Ok(())
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, peer = %peer.0, "a connection ended");
        }
    }

    async fn begin(&self, mut stream: TcpStream, peer: PeerAddress) -> io::Result<Begun> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(Begun::TurnedAway);
        }
        match connection_protocol(first[0], peer.0) {
            ConnectionProtocol::Plain => Ok(Begun::Plain(stream)),
            ConnectionProtocol::PlainFromAfar => {
                timeout(GOODBYE, turn_away(&mut stream)).await??;
                Ok(Begun::TurnedAway)
            }
            ConnectionProtocol::Tls => {
                let stream = Box::new(self.acceptor.accept(stream).await?);
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                Ok(if is_http2 { Begun::Http2(stream) } else { Begun::Tls(stream) })
            }
        }
    }

    async fn http1<S>(&self, stream: S, from: Peer<'_>, watcher: Watcher) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let requests = InFlightRequests::default();
        let service = service_fn(|request| self.answer(request, &from, &requests));
        let connection =
            Box::pin(watcher.watch(self.http1.serve_connection(TokioIo::new(stream), service)));
        until_left(connection, &requests).await
    }

    async fn http2(
        &self,
        stream: Box<TlsStream<TcpStream>>,
        from: Peer<'_>,
        watcher: Watcher,
    ) -> hyper::Result<()> {
        let requests = InFlightRequests::default();
        let service = service_fn(|request| self.answer(request, &from, &requests));
        // Boxed once: a future reserves space for everything that was ever moved through it.
        let connection =
            Box::pin(watcher.watch(self.http2.serve_connection(TokioIo::new(stream), service)));
        until_left(connection, &requests).await
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        from: &Peer<'_>,
        requests: &InFlightRequests,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let one = requests.begin();
        let checked = if from.over_tls { Ok(()) } else { host::check(&request, self.port) };
        let answer = match checked {
            Ok(()) => Either::Left(self.router.clone().oneshot(from.attach_to(request))),
            Err(failure) => Either::Right(ready(Ok(host::refuse(failure)))),
        };
        async {
            let mut answer = answer.await?;
            headers::mark_sensitive(answer.headers_mut());
            Ok(answer.map(|body| one.until_sent(body)))
        }
    }
}

/// Serves a connection until it ends, or until it has no request in progress for the idle timeout.
/// The peer reconnects when needed.
async fn until_left(
    connection: Pin<Box<impl Future<Output = hyper::Result<()>>>>,
    requests: &InFlightRequests,
) -> hyper::Result<()> {
    tokio::select! {
        ended = connection => ended,
        () = requests.none_for(IDLE) => Ok(()),
    }
}

fn connection_protocol(first: u8, peer: IpAddr) -> ConnectionProtocol {
    match (first, peer.is_loopback()) {
        (TLS_HANDSHAKE, _) => ConnectionProtocol::Tls,
        (_, true) => ConnectionProtocol::Plain,
        (_, false) => ConnectionProtocol::PlainFromAfar,
    }
}

/// Responds without reading the request, which may contain a token that has crossed the network in
/// plain text.
async fn turn_away(stream: &mut TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{USE_HTTPS}",
        USE_HTTPS.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes resets the connection, and the peer loses the response.
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests;
