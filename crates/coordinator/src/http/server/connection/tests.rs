//! Tests of stalled, slow and idle connections, and of a stop.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::*;
use crate::cluster::server_config;
use crate::http::server::serve::serve;

#[test]
fn plain_http_is_allowed_only_on_loopback() {
    let connection_protocol = |first, peer: &str| connection_protocol(first, peer.parse().unwrap());
    for local in ["127.0.0.1", "127.8.8.8", "::1"] {
        assert_eq!(connection_protocol(b'G', local), ConnectionProtocol::Plain, "{local}");
        assert_eq!(connection_protocol(TLS_HANDSHAKE, local), ConnectionProtocol::Tls, "{local}");
    }
    for remote in ["192.0.2.1", "10.0.0.1", "fe80::1", "0.0.0.0"] {
        assert_eq!(
            connection_protocol(b'G', remote),
            ConnectionProtocol::PlainFromAfar,
            "{remote}"
        );
        assert_eq!(connection_protocol(TLS_HANDSHAKE, remote), ConnectionProtocol::Tls, "{remote}");
    }
}

#[test]
fn an_ipv4_peer_of_a_dual_stack_socket_is_recognized() {
    let peer = PeerAddress::from("[::ffff:127.0.0.1]:5".parse::<SocketAddr>().unwrap());
    assert_eq!(connection_protocol(b'G', peer.0), ConnectionProtocol::Plain);
}

/// Serves an empty router on a port and returns its address with a TLS client configuration.
async fn start_server(stopping: &CancellationToken) -> (SocketAddr, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["here".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![made.cert.der().clone()], key);
    let tls = server_config(Arc::new(certified), None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Router::new(), tls, stopping.clone()));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![HTTP2.to_vec()];
    (address, client)
}

#[tokio::test(start_paused = true)]
async fn stalled_connections_are_closed() {
    let stopping = CancellationToken::new();
    let (address, _) = start_server(&stopping).await;
    let cases: [(&[u8], Duration); 4] = [
        (b"", HANDSHAKE),
        (&[TLS_HANDSHAKE], HANDSHAKE),
        (b"GET / HTTP/1.1\r\nHost: he", HEADERS),
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", HEADERS),
    ];
    for (sent, timeout) in cases {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        let elapsed = begun.elapsed();
        assert!(elapsed >= timeout && elapsed < timeout * 2, "{sent:?}: {elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_connections_are_closed() {
    let stopping = CancellationToken::new();
    let (address, _) = start_server(&stopping).await;
    // The start of a TLS hello of 512 bytes, and the start of an HTTP request.
    let cases: [(&[u8], Duration); 2] =
        [(&[TLS_HANDSHAKE, 3, 1, 2, 0, 1], HANDSHAKE), (b"GET / HTTP/1.1\r\nHost: ", HEADERS)];
    for (sent, timeout) in cases {
        let begun = Instant::now();
        let (mut receiver, mut sender) = TcpStream::connect(address).await.unwrap().into_split();
        sender.write_all(sent).await.unwrap();
        let send_slowly = async {
            while sender.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = send_slowly => {}
            _ = receiver.read_to_end(&mut answer) => {}
        }
        let elapsed = begun.elapsed();
        assert!(elapsed >= timeout && elapsed < timeout * 2, "{sent:?}: {elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed() {
    let stopping = CancellationToken::new();
    let (address, client) = start_server(&stopping).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let here = ServerName::try_from("here").unwrap();
    let mut stream = TlsConnector::from(Arc::new(client)).connect(here, stream).await.unwrap();
    let begun = Instant::now();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let elapsed = begun.elapsed();
    assert!(elapsed >= IDLE && elapsed <= IDLE * 2 + ANSWER, "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_connections_without_a_request() {
    let stopping = CancellationToken::new();
    let (address, _) = start_server(&stopping).await;
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A second request makes sure that the server has accepted the first connection before the stop.
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    drop(other.read_to_end(&mut Vec::new()).await);
    stopping.cancel();
    drop(stream.read_to_end(&mut Vec::new()).await);
    assert!(begun.elapsed() < HANDSHAKE, "{:?}", begun.elapsed());
}
