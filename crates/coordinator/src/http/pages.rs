//! `/`: the dashboard, embedded in the program by `build.rs`. Everybody may load it; it shows nothing
//! that it does not ask the API for.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use protocol::BlobHash;
use utoipa_axum::router::OpenApiRouter;

use super::problem::ApiError;
use super::{Shared, files};

/// An embedded file.
#[derive(Debug)]
struct Page {
    /// Below the dashboard's folder.
    path: &'static str,
    bytes: &'static [u8],
    /// The same, packed by the dashboard's build.
    gzip: Option<&'static [u8]>,
}

static PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Where it begins.
const INDEX: &str = "index.html";
/// Files whose names change with what is in them.
const HASHED: &str = "assets/";

/// A file as it goes out: its bytes in both ways that there are, each with its name as a version.
struct Served {
    page: &'static Page,
    plain: HeaderValue,
    gzip: Option<HeaderValue>,
}

static SERVED: LazyLock<Vec<Served>> = LazyLock::new(|| PAGES.iter().map(Served::new).collect());

impl Served {
    fn new(page: &'static Page) -> Self {
        Self { page, plain: tag(page.bytes), gzip: page.gzip.map(tag) }
    }
}

/// Hashes of bytes are letters and digits: they fit a header.
fn tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{}\"", BlobHash::of(bytes));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Not in the OpenAPI document: these are pages, not the API.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    let others = PAGES.iter().filter(|page| !page.path.starts_with(HASHED));
    others.fold(
        OpenApiRouter::new().route("/", get(send)).route("/assets/{*rest}", get(send)),
        |router, page| router.route(&format!("/{}", page.path), get(send)),
    )
}

/// Whether the route is one of [`routes`].
pub(super) fn is_page(route: &str) -> bool {
    let path = route.strip_prefix('/').unwrap_or(route);
    path.is_empty() || route == "/assets/{*rest}" || PAGES.iter().any(|page| page.path == path)
}

async fn send(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { INDEX } else { path };
    if let Some(served) = SERVED.iter().find(|served| served.page.path == path) {
        return answer(served, request.headers());
    }
    let words = format!("the dashboard has no file {path}; load its page again");
    ApiError::not_found("unknown-path", words).into_response()
}

fn answer(served: &Served, asked: &HeaderMap) -> Response {
    let page = served.page;
    let packed = page.gzip.zip(served.gzip.as_ref()).filter(|_| takes_gzip(asked));
    let (bytes, tag) = packed.unwrap_or((page.bytes, &served.plain));
    let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|known| names(known, tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = bytes.into_response();
        files::insert(response.headers_mut(), header::CONTENT_TYPE, kind(page.path));
        if packed.is_some() {
            files::insert(response.headers_mut(), header::CONTENT_ENCODING, "gzip");
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag.clone());
    if page.gzip.is_some() {
        files::insert(headers, header::VARY, "Accept-Encoding");
    }
    let is_hashed = page.path.starts_with(HASHED);
    let caching = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    files::insert(headers, header::CACHE_CONTROL, caching);
    response
}

/// RFC 9110 §13.1.2: the tag is listed, or anything will do.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    let mut known = known.split(',').map(|one| one.trim().trim_start_matches("W/"));
    known.any(|one| one == tag || one == "*")
}

/// RFC 9110 §12.5.3.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        let listed = asked.get_all(header::ACCEPT_ENCODING).iter();
        let listed = listed.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
        let mut listed = listed.map(|one| one.split_once(';').unwrap_or((one, "q=1")));
        let (_, weight) = listed.find(|(coding, _)| coding.trim().eq_ignore_ascii_case(wanted))?;
        weight.trim().strip_prefix("q=")?.parse::<f32>().ok()
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    static SCRIPT: Page = Page {
        path: "assets/app-3f2a.js",
        bytes: b"plain, and rather longer",
        gzip: Some(b"packed"),
    };
    static FACE: Page = Page { path: "face.svg", bytes: b"<svg/>", gzip: None };

    fn ask(page: &'static Page, headers: &[(header::HeaderName, &'static str)]) -> Response {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        answer(&Served::new(page), &headers.collect())
    }

    fn said(response: &Response, name: header::HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn the_packed_file_goes_to_who_takes_it() {
        for (encodings, packed) in [
            (None, false),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1, GZIP;q=0.2"), true),
            (Some("br, *;q=0.1"), true),
            (Some("gzip;q=0, *"), false),
            (Some("identity"), false),
        ] {
            let asked: Vec<_> =
                encodings.into_iter().map(|it| (header::ACCEPT_ENCODING, it)).collect();
            let response = ask(&SCRIPT, &asked);
            assert_eq!(
                said(&response, header::CONTENT_ENCODING).is_some(),
                packed,
                "{encodings:?}"
            );
            assert_eq!(said(&response, header::VARY), Some("Accept-Encoding"));
            assert_eq!(
                said(&response, header::CONTENT_TYPE),
                Some("text/javascript; charset=utf-8")
            );
            let bytes = to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(bytes, if packed { SCRIPT.gzip.unwrap() } else { SCRIPT.bytes });
        }
        // Nobody packed this one.
        let response = ask(&FACE, &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_eq!(said(&response, header::CONTENT_ENCODING), None);
    }

    #[test]
    fn hashed_names_are_kept_for_ever_and_the_rest_is_asked_for_again() {
        let (script, face) = (ask(&SCRIPT, &[]), ask(&FACE, &[]));
        let immutable = "public, max-age=31536000, immutable";
        assert_eq!(said(&script, header::CACHE_CONTROL), Some(immutable));
        assert_eq!(said(&face, header::CACHE_CONTROL), Some("no-cache"));
        let tag: &'static str = String::leak(said(&face, header::ETAG).unwrap().to_owned());
        let again = ask(&FACE, &[(header::IF_NONE_MATCH, tag)]);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(said(&again, header::ETAG), Some(tag));
        let other = ask(&SCRIPT, &[(header::IF_NONE_MATCH, tag)]);
        assert_eq!(other.status(), StatusCode::OK);
        // Packed and plain bytes are two versions.
        let packed = ask(&SCRIPT, &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_ne!(said(&packed, header::ETAG), said(&script, header::ETAG));
    }
}
