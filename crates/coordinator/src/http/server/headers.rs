//! Security headers of every answer, and CORS.

use std::str::FromStr;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use protocol::PROTOCOL_HEADER;
use tower_http::cors::CorsLayer;

/// Content policy of pages: they may load only from this origin. The API documentation has inline styles.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' \
                           'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action \
                           'self'; frame-ancestors 'none'";
/// Content policy of all other answers, which are not pages.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Origin of a web page, such as `https://people.example.com`, whose scripts may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Error of parsing an [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not an origin: use a scheme, a host and an optional port without a path, such as \
     https://people.example.com"
)]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(invalid)?;
        // Browsers send the canonical form, so any other form would never match.
        let canonical = format!("{scheme}://{authority}");
        let known = scheme == "https" || scheme == "http";
        if !known || text != canonical || text.contains('@') || text != text.to_lowercase() {
            return Err(invalid());
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| invalid())
    }
}

/// Adds the headers that restrict what a browser may do with an answer.
pub(crate) fn set_security_headers(status: StatusCode, headers: &mut HeaderMap) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
    let is_json = kind.is_some_and(|kind| kind.contains("json"));
    // Headers of a 304 replace those in the browser's cache (RFC 9111 §3.2). Without a policy here, the
    // cached page keeps its own.
    if status != StatusCode::NOT_MODIFIED {
        let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
        set(headers, header::CONTENT_SECURITY_POLICY, policy);
    }
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if is_json && !headers.contains_key(header::CACHE_CONTROL) {
        set(headers, header::CACHE_CONTROL, "no-store");
    }
}

/// Marks all headers as sensitive, so that HTTP/2 doesn't add them to its compression table: 10,000
/// waiting connections would each hold a table. Sets the date here, because hyper's own date header would
/// be added to the table.
pub(crate) fn mark_sensitive(headers: &mut HeaderMap) {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(header::DATE, date);
    }
    headers.values_mut().for_each(|value| value.set_sensitive(true));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Allows pages of `origins` to call the router (CORS). They must send a token, because the session cookie
/// is never sent from another site.
pub(crate) fn allow<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    origins: &[Origin],
) -> Router<S> {
    if origins.is_empty() {
        return router;
    }
    let protocol = PROTOCOL_HEADER.parse::<HeaderName>().into_iter();
    let headers: Vec<HeaderName> =
        [header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("upload-offset")]
            .into_iter()
            .chain(protocol)
            .collect();
    router.layer(
        CorsLayer::new()
            .allow_origin(origins.iter().map(|origin| origin.0.clone()).collect::<Vec<_>>())
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers(headers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_sensitive_including_the_date() {
        let mut headers = HeaderMap::new();
        set_security_headers(StatusCode::OK, &mut headers);
        mark_sensitive(&mut headers);
        assert!(headers.values().all(HeaderValue::is_sensitive), "{headers:?}");
        let date = headers[header::DATE].to_str().unwrap();
        let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).unwrap();
        assert!(Timestamp::now().duration_since(parsed).as_secs().abs() < 3600, "{date}");
        assert!(date.ends_with(" GMT"), "{date}");
    }

    #[test]
    fn only_canonical_origins_are_accepted() {
        for text in ["https://people.example.com", "http://127.0.0.1:5173", "https://[::1]:8443"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in [
            "*",
            "",
            "null",
            "people.example.com",
            "https://people.example.com/",
            "https://People.example.com",
            "https://a@b",
            "ftp://people.example.com",
            "https://",
        ] {
            let error = text.parse::<Origin>().unwrap_err();
            assert!(error.to_string().contains("such as https://"), "{error}");
        }
    }
}
