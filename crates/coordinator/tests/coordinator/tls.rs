//! Network protocols: TLS 1.2 or 1.3, and nothing else from other machines.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use coordinator::OwnCertificate;
use protocol::Pin;
use protocol::pin::{pinned_server_name, server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Coordinator, settings};

/// Returns a non-loopback address of this machine. Selecting it sends no packet.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip()).filter(|ip| !ip.is_loopback())
}

pub(crate) fn certificate_of(coordinator: &Coordinator) -> CertificateDer<'static> {
    let file = coordinator.folder.path().join("cluster/certificate.pem");
    CertificateDer::from_pem_file(file).unwrap()
}

fn pin_of(certificate: &CertificateDer<'_>) -> Pin {
    let parsed = ParsedCertificate::try_from(certificate).unwrap();
    Pin::from_public_key(parsed.subject_public_key_info().as_ref())
}

/// Returns a standard client that trusts these certificates.
pub(crate) fn trusting(
    certificates: &[CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

/// Reads everything until the peer closes.
async fn read_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn health(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> String {
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    String::from_utf8(read_answer(stream).await).unwrap()
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_beyond_this_machine() {
    let Some(own) = own_address() else {
        println!("skipped: this machine has no address but loopback's");
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut everywhere = settings(folder.path());
    everywhere.listen = "0.0.0.0:0".parse().unwrap();
    let running = coordinator::start(everywhere).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    let port = coordinator.running.address.port();
    let (here, afar) = (SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::new(own, port));

    let answer = health(&mut TcpStream::connect(here).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = health(&mut TcpStream::connect(afar).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
    assert!(!answer.contains("protocol"), "{answer}");

    let certificate = certificate_of(&coordinator);
    let connector = trusting(&[certificate], &[&version::TLS13], &["http/1.1"]);
    let name = server_name(&coordinator.running.cluster.id);
    let answer = health(&mut connect(&connector, afar, &name).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Returns a `ClientHello` whose highest version is `version`.
fn hello(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    body.push(0);
    // ECDHE with ECDSA or RSA, with the ciphers of each version.
    let suites = [0xc0, 0x2b, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f];
    body.extend([0, 8]);
    body.extend(suites);
    body.extend([1, 0]);
    // Groups: P-256. Point formats: uncompressed. Signatures: ECDSA with P-256, RSA with SHA-1.
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 6, 0, 4, 4, 3, 2, 1],
        // Extended master secret.
        &[0, 23, 0, 0],
    ]
    .concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&[0x16, 3, 1], &length[..], &message].concat()
}

#[tokio::test]
async fn tls_below_1_2_is_refused_by_an_alert() {
    const ALERT: u8 = 0x15;
    const FATAL: u8 = 2;
    const PROTOCOL_VERSION: u8 = 70;
    const HANDSHAKE: u8 = 0x16;
    let coordinator = Coordinator::start().await;
    for (version, name) in [(0, "SSL 3.0"), (1, "TLS 1.0"), (2, "TLS 1.1")] {
        let mut stream = TcpStream::connect(coordinator.running.address).await.unwrap();
        stream.write_all(&hello(version)).await.unwrap();
        let said = read_answer(&mut stream).await;
        assert_eq!(said.first(), Some(&ALERT), "{name}: {said:?}");
        assert_eq!(said[5..], [FATAL, PROTOCOL_VERSION], "{name}");
    }
    // The same hello for TLS 1.2 gets a ServerHello, so the other rejections are about the version.
    let mut stream = TcpStream::connect(coordinator.running.address).await.unwrap();
    stream.write_all(&hello(3)).await.unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [HANDSHAKE]);
}

#[tokio::test]
async fn both_versions_and_both_kinds_of_http_are_spoken() {
    let coordinator = Coordinator::start().await;
    let certificate = [certificate_of(&coordinator)];
    let (address, name) =
        (coordinator.running.address, server_name(&coordinator.running.cluster.id));
    let best = trusting(&certificate, &[&version::TLS12, &version::TLS13], &["http/1.1", "h2"]);
    let stream = connect(&best, address, &name).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let older = trusting(&certificate, &[&version::TLS12], &["http/1.1"]);
    let mut stream = connect(&older, address, &name).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert!(health(&mut stream).await.starts_with("HTTP/1.1 200"));
    let without_alpn = trusting(&certificate, &[&version::TLS13], &[]);
    let mut stream = connect(&without_alpn, address, &name).await.unwrap();
    assert!(health(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_company_s_certificate_is_for_browsers_and_the_cluster_s_for_devices() {
    let (folder, company) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let names = ["lab.example".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let own = OwnCertificate {
        certificate: company.path().join("lab.crt"),
        key: company.path().join("lab.key"),
    };
    std::fs::write(&own.certificate, made.cert.pem()).unwrap();
    std::fs::write(&own.key, made.signing_key.serialize_pem()).unwrap();
    let mut with_own = settings(folder.path());
    with_own.certificate = Some(own);
    let running = coordinator::start(with_own).await.unwrap();
    let coordinator = Coordinator::from_running(running, folder);
    let (address, cluster) = (coordinator.running.address, coordinator.running.cluster.clone());
    let theirs = made.cert.der().clone();
    let ours = certificate_of(&coordinator);
    assert_eq!(pin_of(&ours), cluster.pin);

    let browser = trusting(std::slice::from_ref(&theirs), &[&version::TLS13], &["h2"]);
    // By name, and by address without a name in the handshake.
    for name in ["lab.example", "127.0.0.1"] {
        let stream = connect(&browser, address, name).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], theirs, "{name}");
    }
    let device = trusting(std::slice::from_ref(&ours), &[&version::TLS13], &["h2"]);
    let stream = connect(&device, address, &server_name(&cluster.id)).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], ours);
    // A client that uses only the pin doesn't know the id, so its name doesn't match the
    // certificate.
    let error = connect(&device, address, &pinned_server_name()).await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    // Neither certificate is accepted in place of the other.
    assert!(connect(&device, address, "lab.example").await.is_err());
    assert!(connect(&browser, address, &server_name(&cluster.id)).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_makes_no_sense_keeps_the_coordinator_from_starting() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("no-certificate");
    std::fs::write(&file, "no certificate").unwrap();
    let mut broken = settings(folder.path());
    broken.certificate = Some(OwnCertificate { certificate: file.clone(), key: file });
    let error = coordinator::start(broken).await.unwrap_err().to_string();
    assert!(error.contains("no-certificate") && error.contains("--tls-certificate"), "{error}");
    coordinator::start(settings(folder.path())).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_damaged_key_keeps_the_coordinator_from_starting() {
    let folder = TempDir::new().unwrap();
    coordinator::start(settings(folder.path())).await.unwrap().stop().await;
    let key = folder.path().join("cluster/key.pem");
    std::fs::write(&key, "damaged").unwrap();
    let error = coordinator::start(settings(folder.path())).await.unwrap_err().to_string();
    assert!(error.contains("key.pem") && error.contains("backup"), "{error}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "damaged");
}
