//! `/`: the dashboard, embedded in the program by `build.rs`. Its files are public: all data comes from the
//! API, which requires a credential.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use protocol::BlobHash;
use utoipa_axum::router::OpenApiRouter;

use super::files;
use super::problem::ApiError;
use crate::http::state::ApiState;

/// An embedded file.
#[derive(Debug)]
struct Page {
    /// Path within the dashboard's folder.
    path: &'static str,
    bytes: &'static [u8],
    /// The same bytes compressed with gzip by the dashboard's build.
    gzip: Option<&'static [u8]>,
}

static PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// File of the start page.
const INDEX: &str = "index.html";
/// Folder of the files whose names contain a hash of their content.
const HASHED: &str = "assets/";

/// A file with the entity tags of its plain and its compressed bytes.
struct Served {
    page: &'static Page,
    plain_tag: HeaderValue,
    gzip_tag: Option<HeaderValue>,
}

static SERVED: LazyLock<Vec<Served>> = LazyLock::new(|| PAGES.iter().map(Served::new).collect());

impl Served {
    fn new(page: &'static Page) -> Self {
        Self { page, plain_tag: tag(page.bytes), gzip_tag: page.gzip.map(tag) }
    }
}

/// Returns the entity tag of these bytes: their hash in quotes, which is always a valid header value.
fn tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{}\"", BlobHash::compute(bytes));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Returns the dashboard's routes. They are not in the OpenAPI document, because they are not part of the
/// API.
pub(super) fn routes() -> OpenApiRouter<ApiState> {
    let others = PAGES.iter().filter(|page| !page.path.starts_with(HASHED));
    others.fold(
        OpenApiRouter::new().route("/", get(send)).route("/assets/{*rest}", get(send)),
        |router, page| router.route(&format!("/{}", page.path), get(send)),
    )
}

/// Returns whether the route is one of [`routes`].
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
    let message = format!("the dashboard has no file {path}; reload the page");
    ApiError::not_found("unknown-path", message).into_response()
}

/// Answers a request with these headers: with the bytes, or with 304 if the client has them.
fn answer(served: &Served, request: &HeaderMap) -> Response {
    let page = served.page;
    let compressed = page.gzip.zip(served.gzip_tag.as_ref()).filter(|_| accepts_gzip(request));
    let (bytes, tag) = compressed.unwrap_or((page.bytes, &served.plain_tag));
    let is_cached = request.get_all(header::IF_NONE_MATCH).iter().any(|list| lists_tag(list, tag));
    let mut response = if is_cached {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = bytes.into_response();
        files::insert(response.headers_mut(), header::CONTENT_TYPE, content_type(page.path));
        if compressed.is_some() {
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

/// Returns whether an `If-None-Match` list contains the tag or `*` (RFC 9110 §13.1.2).
fn lists_tag(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(list), Ok(tag)) = (list.to_str(), tag.to_str()) else { return false };
    let mut tags = list.split(',').map(|listed| listed.trim().trim_start_matches("W/"));
    tags.any(|listed| listed == tag || listed == "*")
}

/// Returns whether `Accept-Encoding` allows gzip (RFC 9110 §12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        let listed = request.get_all(header::ACCEPT_ENCODING).iter();
        let listed = listed.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
        let mut listed = listed.map(|item| item.split_once(';').unwrap_or((item, "q=1")));
        let (_, weight) = listed.find(|(coding, _)| coding.trim().eq_ignore_ascii_case(wanted))?;
        weight.trim().strip_prefix("q=")?.parse::<f32>().ok()
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// Returns the media type of a file by its name.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
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

    fn get_page(page: &'static Page, headers: &[(header::HeaderName, &'static str)]) -> Response {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        answer(&Served::new(page), &headers.collect())
    }

    fn header_text(response: &Response, name: header::HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn the_compressed_file_is_sent_if_the_client_accepts_gzip() {
        for (encodings, is_compressed) in [
            (None, false),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1, GZIP;q=0.2"), true),
            (Some("br, *;q=0.1"), true),
            (Some("gzip;q=0, *"), false),
            (Some("identity"), false),
        ] {
            let headers: Vec<_> =
                encodings.into_iter().map(|it| (header::ACCEPT_ENCODING, it)).collect();
            let response = get_page(&SCRIPT, &headers);
            assert_eq!(
                header_text(&response, header::CONTENT_ENCODING).is_some(),
                is_compressed,
                "{encodings:?}"
            );
            assert_eq!(header_text(&response, header::VARY), Some("Accept-Encoding"));
            assert_eq!(
                header_text(&response, header::CONTENT_TYPE),
                Some("text/javascript; charset=utf-8")
            );
            let bytes = to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(bytes, if is_compressed { SCRIPT.gzip.unwrap() } else { SCRIPT.bytes });
        }
        // This file has no compressed form.
        let response = get_page(&FACE, &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_eq!(header_text(&response, header::CONTENT_ENCODING), None);
    }

    #[test]
    fn hashed_files_are_cached_forever_and_others_are_revalidated() {
        let (script, face) = (get_page(&SCRIPT, &[]), get_page(&FACE, &[]));
        let immutable = "public, max-age=31536000, immutable";
        assert_eq!(header_text(&script, header::CACHE_CONTROL), Some(immutable));
        assert_eq!(header_text(&face, header::CACHE_CONTROL), Some("no-cache"));
        let tag: &'static str = String::leak(header_text(&face, header::ETAG).unwrap().to_owned());
        let again = get_page(&FACE, &[(header::IF_NONE_MATCH, tag)]);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header_text(&again, header::ETAG), Some(tag));
        let other = get_page(&SCRIPT, &[(header::IF_NONE_MATCH, tag)]);
        assert_eq!(other.status(), StatusCode::OK);
        // Compressed and plain bytes have different tags.
        let compressed = get_page(&SCRIPT, &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_ne!(header_text(&compressed, header::ETAG), header_text(&script, header::ETAG));
    }
}
