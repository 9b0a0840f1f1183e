//! Host check of plain HTTP requests. They must name this machine, because plain HTTP is only for
//! it. A foreign name that resolves to 127.0.0.1 (DNS rebinding) would make its page same-origin to
//! a browser.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;

use super::headers;
use crate::http::problem::ApiError;

/// Maximum number of characters of a foreign host that the response repeats.
const LONGEST_SHOWN: usize = 100;

/// Rejects a plain request unless its only host is this machine, with `port` or no port.
pub(crate) fn check<B>(request: &Request<B>, port: u16) -> Result<(), ApiError> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    // HTTP/2 has the host in the URI; so does an HTTP/1 request for a proxy.
    let authority = request.uri().authority().map(Authority::as_str);
    if second.is_some() || (first.is_none() && authority.is_none()) {
        let words = format!("send exactly one Host header, such as Host: 127.0.0.1:{port}");
        return Err(ApiError::bad_request("host-header", words));
    }
    let first = first.map(|value| value.to_str().unwrap_or_default());
    match first.into_iter().chain(authority).find(|host| !is_ours(host, port)) {
        Some(foreign) => Err(misdirected(foreign, port)),
        None => Ok(()),
    }
}

/// Returns the response to a request that reached no handler.
pub(crate) fn refuse(failure: ApiError) -> Response<Body> {
    tracing::debug!(
        detail = failure.problem.detail,
        "rejected a plain request because of its host"
    );
    let mut response = failure.into_response();
    let status = response.status();
    headers::set_security_headers(status, response.headers_mut());
    response
}

/// Returns whether a browser with this address contacts the machine it runs on. Cookies of such a
/// host go to all its ports, also to those of other accounts.
pub(crate) fn is_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let authority = uri.authority().map(Authority::as_str);
    let named = || headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = authority.or_else(named).and_then(split);
    host.is_none_or(|(name, _)| is_this_machine(name))
}

fn misdirected(host: &str, port: u16) -> ApiError {
    let host: String = host.chars().take(LONGEST_SHOWN).collect();
    let words = format!(
        "plain HTTP is for this machine, and '{host}' is another name: open the address that the \
         coordinator prints, or begin it with https://. A reverse proxy on this machine must send \
         Host: 127.0.0.1:{port}"
    );
    ApiError::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", "Misdirected request", words)
}

fn is_ours(host: &str, port: u16) -> bool {
    split(host).is_some_and(|(name, named)| {
        is_this_machine(name) && named.is_none_or(|named| named.parse() == Ok(port))
    })
}

/// Splits a host into name and port. Returns `None` if it is neither a name nor an address.
fn split(host: &str) -> Option<(&str, Option<&str>)> {
    let colon = match host.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|end| end + 2)?,
        None => host.find(':').unwrap_or(host.len()),
    };
    match host.split_at(colon) {
        ("", _) => None,
        (name, "") => Some((name, None)),
        (name, port) => Some((name, Some(port.strip_prefix(':')?))),
    }
}

/// Returns whether the host is this machine. IP addresses can't be rebound, so every loopback
/// address is valid: a coordinator may listen on 127.0.0.2 and print that.
fn is_this_machine(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(address: &str, hosts: &[&str]) -> u16 {
        let mut request = Request::get(address);
        for host in hosts {
            request = request.header("host", *host);
        }
        let checked = check(&request.body(()).unwrap(), 8000);
        checked.err().map_or(200, |failure| failure.problem.status)
    }

    #[test]
    fn this_machine_has_few_names() {
        for ours in [
            "127.0.0.1:8000",
            "127.0.0.1",
            "127.0.0.2:8000",
            "localhost:8000",
            "LocalHost",
            "localhost.",
            "LOCALHOST.:8000",
            "[::1]:8000",
            "[::1]",
        ] {
            assert_eq!(status("/", &[ours]), 200, "{ours}");
        }
        for foreign in [
            "evil.example:8000",
            "evil.example",
            "127.0.0.1:8001",
            "127.0.0.1:",
            "127.0.0.1:08000x",
            "localhost:80",
            "localhost..",
            "a.localhost",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "0.0.0.0:8000",
            "[::]:8000",
            "[::1",
            "[::1]8000",
            "::1",
            "a@127.0.0.1",
            "127.0.0.1, evil.example",
            "127.0.0.1 evil.example",
            "",
            ":8000",
        ] {
            assert_eq!(status("/", &[foreign]), 421, "{foreign}");
        }
    }

    #[test]
    fn one_host_is_named_and_every_place_that_names_it_counts() {
        assert_eq!(status("/", &[]), 400);
        assert_eq!(status("/", &["127.0.0.1:8000", "127.0.0.1:8000"]), 400);
        assert_eq!(status("/", &["evil.example", "127.0.0.1:8000"]), 400);
        assert_eq!(status("http://127.0.0.1:8000/", &[]), 200);
        assert_eq!(status("http://evil.example/", &[]), 421);
        assert_eq!(status("http://evil.example/", &["127.0.0.1:8000"]), 421);
        assert_eq!(status("http://127.0.0.1:8000/", &["evil.example"]), 421);
    }

    #[test]
    fn a_host_that_can_t_be_read_counts_as_this_machine_for_cookies() {
        let of = |host: &'static str| {
            let request = Request::get("/").header("host", host).body(()).unwrap();
            is_loopback(request.uri(), request.headers())
        };
        for here in ["localhost", "127.0.0.1:9", "[::1]:8000", "[::1", ""] {
            assert!(of(here), "{here}");
        }
        for other in ["mac.local:8000", "192.0.2.7", "[2001:db8::1]:8000"] {
            assert!(!of(other), "{other}");
        }
    }
}
