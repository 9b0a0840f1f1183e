//! One connection: what it speaks, and how long it may say nothing.
//!
//! One port takes everybody, and the first byte tells TLS from plain HTTP. Plain HTTP is for this
//! machine alone; from anywhere else it is answered with the word to use https. There are 10,000
//! connections in a large fleet, nearly all waiting: what a connection needs only at its beginning
//! is on the heap and gone afterwards.

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

use super::peer::Peer;
use super::strangers::Introduction;
use super::under_way::UnderWay;
use super::{headers, host};
use crate::caller::PeerAddress;
use crate::cluster::HTTP2;

/// From a connection's beginning to the end of its handshake, or to the first byte of plain HTTP.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// HTTP/1: for a request's headers, and between two requests of a connection.
const HEADERS: Duration = Duration::from_secs(30);
/// A connection without a request for so long, at most twice as long, is closed; after four times as
/// long also one whose peer takes nothing of its answers.
const IDLE: Duration = Duration::from_mins(1);
/// HTTP/2: after so long without a word a peer is asked whether it is there; a device that left
/// without goodbye shows by this.
const ASK: Duration = Duration::from_mins(1);
/// For its answer.
const ANSWER: Duration = Duration::from_secs(20);
/// For a peer that is turned away to take the words.
const GOODBYE: Duration = Duration::from_secs(2);

/// Bytes that a peer may send ahead of what is read, for one request and for all of its
/// connection: what a hostile one can make us hold.
const AHEAD_OF_STREAM: u32 = 256 << 10;
const AHEAD_OF_CONNECTION: u32 = 512 << 10;
/// Bytes of an answer that wait for a slow peer, and of what is read at once.
const BUFFER: usize = 64 << 10;
/// Bytes of a request's headers.
const LONGEST_HEADERS: u32 = 16 << 10;
/// Bytes of headers that a peer may refer to instead of repeating them: what both sides would remember
/// of 10,000 waiting connections is worth more than the bytes of their next request.
const REMEMBERED_HEADERS: u32 = 0;
/// HTTP/1: how many there may be.
const MOST_HEADERS: usize = 100;
/// Requests that one connection may have under way: a dashboard has a dozen, a device three.
const MOST_STREAMS: u32 = 64;
/// Requests that a peer may take back before they were looked at, and those that it may be told of
/// as wrong: whoever does so more often only makes work (CVE-2023-44487).
const MOST_TAKEN_BACK: usize = 20;
const MOST_WRONG: usize = 128;

/// The first byte of a TLS record that opens a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
const USE_HTTPS: &str = "This coordinator speaks HTTPS here: begin its address with https://\n";

/// How connections are served.
pub(super) struct Connections {
    router: Router,
    acceptor: TlsAcceptor,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    stopping: CancellationToken,
    /// Where plain requests must say that they go.
    port: u16,
}

/// What a connection may be, by its first byte and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Tls,
    Plain,
    /// Plain HTTP from another machine.
    PlainFromAfar,
}

/// A connection after its beginning.
enum Begun {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Http2(Box<TlsStream<TcpStream>>),
    TurnedAway,
}

impl Connections {
    pub(super) fn new(
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
    pub(super) async fn serve(
        &self,
        stream: TcpStream,
        peer: PeerAddress,
        introduction: &Introduction,
        watcher: Watcher,
    ) {
        // Answers are small and waited for.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let begun = tokio::select! {
            begun = timeout(HANDSHAKE, Box::pin(self.begin(stream, peer))) => begun,
            () = self.stopping.cancelled() => return,
        };
        let begun = begun.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let ended = match begun {
            Ok(Begun::Plain(stream)) => {
                let from = Peer { address: peer, introduction, over_tls: false };
                Box::pin(self.http1(stream, from, watcher)).await
            }
            Ok(Begun::Tls(stream)) => {
                let from = Peer { address: peer, introduction, over_tls: true };
                Box::pin(self.http1(stream, from, watcher)).await
            }
            Ok(Begun::Http2(stream)) => {
                let from = Peer { address: peer, introduction, over_tls: true };
                Box::pin(self.http2(stream, from, watcher)).await
            }
            Ok(Begun::TurnedAway) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, peer = %peer.0, "a connection did not begin");
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
        match speech(first[0], peer.0) {
            Speech::Plain => Ok(Begun::Plain(stream)),
            Speech::PlainFromAfar => {
                timeout(GOODBYE, turn_away(&mut stream)).await??;
                Ok(Begun::TurnedAway)
            }
            Speech::Tls => {
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
        let requests = UnderWay::default();
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
        let requests = UnderWay::default();
        let service = service_fn(|request| self.answer(request, &from, &requests));
        // On the heap once: a future keeps room for everything that was ever moved through it.
        let connection =
            Box::pin(watcher.watch(self.http2.serve_connection(TokioIo::new(stream), service)));
        until_left(connection, &requests).await
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        from: &Peer<'_>,
        requests: &UnderWay,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let one = requests.begin();
        let checked = if from.over_tls { Ok(()) } else { host::check(&request, self.port) };
        let answer = match checked {
            Ok(()) => Either::Left(self.router.clone().oneshot(from.put_on(request))),
            Err(failure) => Either::Right(ready(Ok(host::refuse(failure)))),
        };
        async {
            let mut answer = answer.await?;
            headers::say_once(answer.headers_mut());
            Ok(answer.map(|body| one.until_sent(body)))
        }
    }
}

/// Serves a connection until it ends, or its peer has nothing under way: it comes again when it has.
async fn until_left(
    connection: Pin<Box<impl Future<Output = hyper::Result<()>>>>,
    requests: &UnderWay,
) -> hyper::Result<()> {
    tokio::select! {
        ended = connection => ended,
        () = requests.none_for(IDLE) => Ok(()),
    }
}

fn speech(first: u8, peer: IpAddr) -> Speech {
    match (first, peer.is_loopback()) {
        (TLS_HANDSHAKE, _) => Speech::Tls,
        (_, true) => Speech::Plain,
        (_, false) => Speech::PlainFromAfar,
    }
}

/// Nothing of the request is read before the answer: it may hold a token, which has crossed the
/// network in the clear and is worth no more attention.
async fn turn_away(stream: &mut TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{USE_HTTPS}",
        USE_HTTPS.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing on unread bytes would reset the connection, and the peer would lose the answer.
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests;
