//! Asking at an address whether the coordinator is there, one layer after the other: name and TCP, TLS and pin, answer.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION, Pin};
use serde::Deserialize;
use tokio::time::timeout;
use worker::pinned_tls::{Address, WrongPin, pinned, tls_error};
use worker::proxy::ProxyRoute;

/// For each layer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far it got.
#[derive(Debug)]
pub(super) enum ProbeResult {
    /// The text is no address.
    Invalid(String),
    NotReached(io::Error),
    /// A connection is there, and no pin to prove who answers.
    NoPin,
    WrongPin(Box<WrongPin>),
    /// Something else than a coordinator answers.
    Foreign(String),
    There(There),
}

/// A coordinator that has the key of the pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct There {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) protocol: u32,
    /// Seconds that this machine's clock is ahead of the coordinator's; none where it doesn't tell its time.
    pub(super) ahead: Option<i64>,
}

/// Of `GET /health`.
#[derive(Deserialize)]
struct Health {
    name: String,
    version: String,
    protocol: u32,
}

/// How connections to the address go from here; none where it is no address.
pub(super) async fn way(url: &str) -> Option<ProxyRoute> {
    let address: Address = url.parse().ok()?;
    // A PAC file may take its time.
    tokio::task::spawn_blocking(move || worker::proxy::way(&address)).await.ok()
}

pub(super) async fn ask(url: &str, pin: Option<Pin>) -> ProbeResult {
    let address: Address = match url.parse() {
        Ok(address) => address,
        Err(error) => return ProbeResult::Invalid(format!("{error}")),
    };
    match timeout(PATIENCE, worker::connect(&address)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return ProbeResult::NotReached(error),
        Err(_) => {
            return ProbeResult::NotReached(io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer in 5 seconds",
            ));
        }
    }
    let Some(pin) = pin else { return ProbeResult::NoPin };
    match health(&address, pin).await {
        Ok(there) => ProbeResult::There(there),
        Err(answer) => answer,
    }
}

async fn health(address: &Address, pin: Pin) -> Result<There, ProbeResult> {
    let foreign = |reason: &dyn std::fmt::Display| ProbeResult::Foreign(reason.to_string());
    let builder = reqwest::Client::builder().timeout(PATIENCE);
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
    // In the middle of the question and its answer.
    let now = before + before.elapsed().unwrap_or_default() / 2;
    let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
    let ahead = date.and_then(seconds).map(|theirs| epoch(now) - theirs);
    let status = response.status();
    let body = response.bytes().await.map_err(|error| foreign(&error.without_url()))?;
    match serde_json::from_slice::<Health>(&body) {
        Ok(Health { name, version, protocol }) => Ok(There { name, version, protocol, ahead }),
        Err(_) => Err(foreign(&format!("status {status}, which is not how a coordinator answers"))),
    }
}

/// Of an HTTP date (RFC 9110, section 5.6.7), since the epoch.
fn seconds(date: &str) -> Option<i64> {
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
    fn a_date_of_http_is_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("soon"), None);
    }

    #[tokio::test]
    async fn an_address_that_is_none_and_a_port_that_nobody_has_are_told_apart() {
        assert!(matches!(ask("lab:8000", None).await, ProbeResult::Invalid(_)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        assert!(matches!(ask(&url, None).await, ProbeResult::NoPin));
        drop(listener);
        let refused = ask(&url, Some(Pin::from_bytes([1; 32]))).await;
        assert!(
            matches!(refused, ProbeResult::NotReached(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        );
    }
}
