//! Peers that fall silent, drip or ask nothing, and a stop.

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
use crate::http::serve;

#[test]
fn plain_http_is_for_this_machine_alone() {
    let speech = |first, peer: &str| speech(first, peer.parse().unwrap());
    for here in ["127.0.0.1", "127.8.8.8", "::1"] {
        assert_eq!(speech(b'G', here), Speech::Plain, "{here}");
        assert_eq!(speech(TLS_HANDSHAKE, here), Speech::Tls, "{here}");
    }
    for afar in ["192.0.2.1", "10.0.0.1", "fe80::1", "0.0.0.0"] {
        assert_eq!(speech(b'G', afar), Speech::PlainFromAfar, "{afar}");
        assert_eq!(speech(TLS_HANDSHAKE, afar), Speech::Tls, "{afar}");
    }
}

#[test]
fn an_ipv4_peer_of_a_socket_for_both_is_known_as_such() {
    let peer = PeerAddress::from("[::ffff:127.0.0.1]:5".parse::<SocketAddr>().unwrap());
    assert_eq!(speech(b'G', peer.0), Speech::Plain);
}

/// A coordinator's port, without a coordinator.
async fn port(stopping: &CancellationToken) -> (SocketAddr, ClientConfig) {
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

/// Time passes by itself while nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn whoever_falls_silent_is_left() {
    let stopping = CancellationToken::new();
    let (address, _) = port(&stopping).await;
    let silences: [(&[u8], Duration); 4] = [
        (b"", HANDSHAKE),
        (&[TLS_HANDSHAKE], HANDSHAKE),
        (b"GET / HTTP/1.1\r\nHost: he", HEADERS),
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", HEADERS),
    ];
    for (said, patience) in silences {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        let left = begun.elapsed();
        assert!(left >= patience && left < patience * 2, "{said:?}: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_drips_is_left() {
    let stopping = CancellationToken::new();
    let (address, _) = port(&stopping).await;
    // The beginning of a hello of 512 bytes, and a header.
    let beginnings: [(&[u8], Duration); 2] =
        [(&[TLS_HANDSHAKE, 3, 1, 2, 0, 1], HANDSHAKE), (b"GET / HTTP/1.1\r\nHost: ", HEADERS)];
    for (said, patience) in beginnings {
        let begun = Instant::now();
        let (mut listening, mut speaking) = TcpStream::connect(address).await.unwrap().into_split();
        speaking.write_all(said).await.unwrap();
        let dripping = async {
            while speaking.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = dripping => {}
            _ = listening.read_to_end(&mut answer) => {}
        }
        let left = begun.elapsed();
        assert!(left >= patience && left < patience * 2, "{said:?}: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_http2_that_asks_nothing_is_left() {
    let stopping = CancellationToken::new();
    let (address, client) = port(&stopping).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let here = ServerName::try_from("here").unwrap();
    let mut stream = TlsConnector::from(Arc::new(client)).connect(here, stream).await.unwrap();
    let begun = Instant::now();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let left = begun.elapsed();
    assert!(left >= IDLE && left <= IDLE * 2 + ANSWER, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_who_has_not_begun() {
    let stopping = CancellationToken::new();
    let (address, _) = port(&stopping).await;
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Taken by the server: only then is its end the stop's doing.
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    drop(other.read_to_end(&mut Vec::new()).await);
    stopping.cancel();
    drop(stream.read_to_end(&mut Vec::new()).await);
    assert!(begun.elapsed() < HANDSHAKE, "{:?}", begun.elapsed());
}
