//! Session cookie: when one is set, and protection against its use by other sites.
//!
//! Browsers store cookies by host, not by port. A cookie for 127.0.0.1 goes to every program there,
//! also to those of other accounts. No cookie is therefore set over plain HTTP. Over TLS none is
//! set for a host that is the browser's own machine: Chromium sends even a `Secure` cookie of
//! 127.0.0.1 to plain HTTP on another port.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri, header};
use protocol::PROTOCOL_HEADER;

use crate::access::credential::{Carrier, SESSION_IDLE};
use crate::http::problem::ApiError;
use crate::http::server::host;
use crate::http::server::peer::OverTls;

/// Header in which the browser states the origin relation of a request. Scripts can't set it.
const FETCH_SITE: &str = "sec-fetch-site";

/// Returns how the browser of this request sends its session.
pub(crate) fn carrier(uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> Carrier {
    let over_tls = extensions.get::<OverTls>().is_some();
    if over_tls && !host::is_loopback(uri, headers) { Carrier::Cookie } else { Carrier::Tab }
}

impl<S: Sync> FromRequestParts<S> for Carrier {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(carrier(&parts.uri, &parts.headers, &parts.extensions))
    }
}

/// Name of the cookie. Browsers accept the prefix `__Host-` only from this host, for this host,
/// with `Secure`. Each cluster has its own name.
#[derive(Debug)]
pub(crate) struct CookieName(String);

impl CookieName {
    pub(crate) fn new(cluster_id: &str) -> Self {
        // The end of a cluster's id is random; its start is the time.
        let tail: String =
            cluster_id.chars().rev().filter(char::is_ascii_alphanumeric).take(12).collect();
        Self(format!("__Host-constellation-{tail}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the value of the request's cookie.
    pub(crate) fn find<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = pairs.flat_map(|value| value.split(';'));
        pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.0).then_some(value)
        })
    }

    /// Returns the `Set-Cookie` value that stores the session.
    pub(crate) fn set(&self, value: &str) -> String {
        self.header(value, SESSION_IDLE.as_secs())
    }

    /// Returns the `Set-Cookie` value that deletes the session.
    pub(crate) fn clear(&self) -> String {
        self.header("", 0)
    }

    fn header(&self, value: &str, seconds: u64) -> String {
        let name = &self.0;
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}; Secure")
    }
}

/// Rejects a change by cookie that another site may have triggered (cross-site request forgery).
/// The browser must state that the request comes from our own page, and the request must have a
/// header that a form can't send.
pub(crate) fn check_origin(request: &Request) -> Result<(), ApiError> {
    let (method, headers) = (request.method(), request.headers());
    let safe = method == Method::GET || method == Method::HEAD;
    if safe || (is_same_origin(request) && headers.contains_key(PROTOCOL_HEADER)) {
        return Ok(());
    }
    let words = format!(
        "a session changes things only from the dashboard's own page, with the header \
         {PROTOCOL_HEADER}; scripts use a token"
    );
    Err(ApiError::new(StatusCode::FORBIDDEN, "cross-site", "Forbidden", words))
}

fn is_same_origin(request: &Request) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(FETCH_SITE) {
        return site == "same-origin";
    }
    // HTTP/2 has the host in its URI.
    let authority = request.uri().authority().map(Authority::as_str);
    let Some(host) = authority.or_else(|| text(header::HOST.as_str())) else { return false };
    let scheme = if request.extensions().get::<OverTls>().is_some() { "https" } else { "http" };
    text(header::ORIGIN.as_str()).is_some_and(|origin| origin == format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others_and_by_its_cluster() {
        let names = CookieName::new("01890a5d-ac96-774b-bcce-b302099a8057");
        let set = names.set("secret");
        assert_eq!(
            set,
            "__Host-constellation-7508a990203b=secret; Path=/; HttpOnly; SameSite=Strict; \
             Max-Age=43200; Secure"
        );
        let pair = set.split(';').next().unwrap();
        let shown = format!("a=b; {pair} ;c=d");
        assert_eq!(names.find(&headers(&[("cookie", &shown)])), Some("secret"));
        let other = CookieName::new("01890a5d-ac96-774b-bcce-b302099a8058");
        assert_eq!(other.find(&headers(&[("cookie", &shown)])), None);
        // The name that earlier versions accepted over plain HTTP.
        let plain = pair.strip_prefix("__Host-").unwrap();
        assert_eq!(names.find(&headers(&[("cookie", plain)])), None);
    }

    #[test]
    fn a_cookie_is_for_tls_and_for_hosts_that_are_not_the_browser_s_own_machine() {
        let carrier = |host: &str, over_tls: bool| {
            let mut request = request(Method::GET, "/", &[("host", host)]);
            if !over_tls {
                request.extensions_mut().remove::<OverTls>();
            }
            carrier(request.uri(), request.headers(), request.extensions())
        };
        assert_eq!(carrier("mac.local:8000", true), Carrier::Cookie);
        assert_eq!(carrier("192.0.2.7:8000", true), Carrier::Cookie);
        for host in ["127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST.:1"] {
            assert_eq!(carrier(host, true), Carrier::Tab, "{host}");
        }
        for host in ["127.0.0.1:8000", "mac.local:8000"] {
            assert_eq!(carrier(host, false), Carrier::Tab, "{host}");
        }
        let over_http2 = request(Method::GET, "https://localhost:8000/", &[]);
        let (uri, extensions) = (over_http2.uri(), over_http2.extensions());
        assert_eq!(super::carrier(uri, over_http2.headers(), extensions), Carrier::Tab);
    }

    #[test]
    fn a_change_comes_from_our_own_page_or_not_at_all() {
        let ours = ("constellation-protocol", "1");
        let host = ("host", "mac.local:8000");
        let cases = [
            (true, vec![ours, ("sec-fetch-site", "same-origin")]),
            (true, vec![ours, host, ("origin", "https://mac.local:8000")]),
            (false, vec![("sec-fetch-site", "same-origin")]),
            (false, vec![ours]),
            (false, vec![ours, host]),
            (false, vec![ours, ("origin", "https://mac.local:8000")]),
            (false, vec![ours, ("sec-fetch-site", "same-site")]),
            (false, vec![ours, ("sec-fetch-site", "cross-site")]),
            (false, vec![ours, ("sec-fetch-site", "none")]),
            (false, vec![ours, host, ("origin", "http://mac.local:8000")]),
            (false, vec![ours, host, ("origin", "https://evil.example")]),
            (false, vec![ours, host, ("origin", "https://mac.local:8001")]),
            (false, vec![ours, host, ("origin", "null")]),
            // The browser's statement about the site takes precedence over the origin.
            (
                false,
                vec![
                    ours,
                    host,
                    ("origin", "https://mac.local:8000"),
                    ("sec-fetch-site", "cross-site"),
                ],
            ),
        ];
        for (expected, pairs) in cases {
            let post = request(Method::POST, "/jobs", &pairs);
            assert_eq!(check_origin(&post).is_ok(), expected, "{pairs:?}");
            assert!(check_origin(&request(Method::GET, "/jobs", &pairs)).is_ok());
        }
        let origin = ("origin", "https://mac.local:8000");
        let over_http2 = request(Method::POST, "https://mac.local:8000/jobs", &[ours, origin]);
        assert!(check_origin(&over_http2).is_ok());
    }

    /// Request over TLS.
    fn request(method: Method, address: &str, pairs: &[(&'static str, &str)]) -> Request {
        let mut request = Request::new(axum::body::Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = address.parse().unwrap();
        *request.headers_mut() = headers(pairs);
        request.extensions_mut().insert(OverTls);
        request
    }
}
