//! Coordinator that listens on its own machine only.

use std::net::SocketAddr;

/// Returns the command that opens the coordinator to the network if it listens on loopback, where other devices can't
/// reach it. Otherwise `None`.
pub fn listen_command(listen: SocketAddr) -> Option<String> {
    let port = listen.port();
    listen.ip().is_loopback().then(|| format!("constellation coordinator --listen 0.0.0.0:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_needs_the_command() {
        for (listen, command) in [
            ("127.0.0.1:8000", Some("constellation coordinator --listen 0.0.0.0:8000")),
            ("[::1]:9001", Some("constellation coordinator --listen 0.0.0.0:9001")),
            ("0.0.0.0:8000", None),
            ("192.0.2.7:8000", None),
        ] {
            assert_eq!(listen_command(listen.parse().unwrap()).as_deref(), command, "{listen}");
        }
    }
}
