//! Probes an address layer by layer: DNS and TCP, TLS and pin, HTTP response.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};
use serde::Deserialize;
use tokio::time::timeout;
use worker::pinned_tls::{Address, WrongPin, pinned, tls_error};
use worker::proxy::ProxyRoute;

/// Timeout of each layer.
const LAYER_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of a probe: the first layer that failed, or the verified coordinator.
#[derive(Debug)]
pub(super) enum ProbeResult {
    /// The text is not an address.
    Invalid(String),
    Unreachable(io::Error),
    /// Connected, but no pin is known to verify the coordinator.
    NoPin,
    WrongPin(Box<WrongPin>),
    /// Something other than a coordinator responds.
    Foreign(String),
    Verified(CoordinatorInfo),
}

/// Facts about a coordinator whose key matches the pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CoordinatorInfo {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) protocol: u32,
    /// Seconds by which this machine's clock is ahead of the coordinator's; `None` if the response has no date.
    pub(super) clock_offset: Option<i64>,
}

/// Response body of `GET /health`.
#[derive(Deserialize)]
struct Health {
    name: String,
    version: String,
    protocol: u32,
}

/// Returns the proxy route to the address; `None` if it is not an address.
pub(super) async fn route(url: &str) -> Option<ProxyRoute> {
    let address: Address = url.parse().ok()?;
    // Evaluating a PAC file can block.
    tokio::task::spawn_blocking(move || worker::proxy::route(&address)).await.ok()
}

pub(super) async fn probe(url: &str, pin: Option<Pin>) -> ProbeResult {
    let address: Address = match url.parse() {
        Ok(address) => address,
        Err(error) => return ProbeResult::Invalid(format!("{error}")),
    };
    match timeout(LAYER_TIMEOUT, worker::connect(&address)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return ProbeResult::Unreachable(error),
        Err(_) => {
            return ProbeResult::Unreachable(io::Error::new(
                io::ErrorKind::TimedOut,
                "no response within 5 seconds",
            ));
        }
    }
    let Some(pin) = pin else { return ProbeResult::NoPin };
    match health(&address, pin).await {
        Ok(info) => ProbeResult::Verified(info),
        Err(result) => result,
    }
}

async fn health(address: &Address, pin: Pin) -> Result<CoordinatorInfo, ProbeResult> {
    let foreign = |reason: &dyn std::fmt::Display| ProbeResult::Foreign(reason.to_string());
    let builder = reqwest::Client::builder().timeout(LAYER_TIMEOUT);
    let client = pinned(builder, address, pin).map_err(|error| foreign(&error))?;
    let client = client.build().map_err(|error| foreign(&error))?;
    let request =
        client.get(format!("{}/health", address.base())).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    let before = SystemTime::now();
    let response = request.send().await.map_err(|error| match WrongPin::behind(&error) {
        Some(wrong) => ProbeResult::WrongPin(Box::new(wrong)),
        None => match tls_error(&error) {
            Some(reason) => foreign(&format!("TLS failed: {reason}")),
            None => foreign(&error.without_url()),
        },
    })?;
    // The midpoint between request and response.
    let now = before + before.elapsed().unwrap_or_default() / 2;
    let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
    let clock_offset = date.and_then(unix_seconds).map(|theirs| epoch(now) - theirs);
    let status = response.status();
    let body = response.bytes().await.map_err(|error| foreign(&error.without_url()))?;
    match serde_json::from_slice::<Health>(&body) {
        Ok(Health { name, version, protocol }) => {
            Ok(CoordinatorInfo { name, version, protocol, clock_offset })
        }
        Err(_) => Err(foreign(&format!("HTTP status {status}, but no response of a coordinator"))),
    }
}

/// Parses an HTTP date (RFC 9110, section 5.6.7) to seconds since the epoch.
fn unix_seconds(date: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(date).ok().map(jiff::Timestamp::as_second)
}

fn epoch(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_parsed() {
        assert_eq!(unix_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(unix_seconds("soon"), None);
    }

    #[tokio::test]
    async fn an_invalid_address_and_a_closed_port_are_distinguished() {
        assert!(matches!(probe("lab:8000", None).await, ProbeResult::Invalid(_)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        assert!(matches!(probe(&url, None).await, ProbeResult::NoPin));
        drop(listener);
        let refused = probe(&url, Some(Pin::from_bytes([1; 32]))).await;
        assert!(
            matches!(refused, ProbeResult::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        );
    }
}
