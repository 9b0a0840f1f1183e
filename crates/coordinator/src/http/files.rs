//! Sending blobs, whole or as a single byte range (RFC 9110 §14), or not at all if the client has them already
//! (§13.1.2). A blob's entity tag is its hash.

use std::io::SeekFrom;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::BlobHash;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::problem::{ApiError, ApiResult};
use crate::blobs::Blobs;

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// Byte range of a `Range` header.
#[derive(Debug, PartialEq, Eq)]
enum RequestedRange {
    /// The whole file: there is no range, or an unsupported one, which may be ignored.
    Whole,
    /// Offset and number of bytes.
    Part(u64, u64),
    /// The range is beyond the end of the file.
    Unsatisfiable,
}

/// Answers with the blob, or with the byte range that the headers request.
pub(super) async fn send(
    blobs: &Blobs,
    hash: BlobHash,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let blobs = blobs.clone();
    let file = tokio::task::spawn_blocking(move || blobs.file(hash)).await;
    let file = file.map_err(|error| ApiError::internal(error.to_string()))??;
    let file = file
        .ok_or_else(|| ApiError::not_found("unknown-blob", format!("there is no blob {hash}")))?;
    if has_already(headers, hash) {
        return Ok(not_modified(hash));
    }
    let mut file = tokio::fs::File::from_std(file);
    let length = file.metadata().await?.len();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    // A range of another version's bytes would not fit the bytes that the client has.
    let range = range.filter(|_| is_same_version(headers, hash));
    let (status, start, count) = match requested_range(range, length) {
        RequestedRange::Whole => (StatusCode::OK, 0, length),
        RequestedRange::Part(start, count) => (StatusCode::PARTIAL_CONTENT, start, count),
        RequestedRange::Unsatisfiable => return Ok(unsatisfiable(length)),
    };
    file.seek(SeekFrom::Start(start)).await?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK));
    let mut response = (status, body).into_response();
    set_file_headers(response.headers_mut(), hash, count);
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {start}-{}/{length}", start + count - 1);
        insert(response.headers_mut(), header::CONTENT_RANGE, &part);
    }
    Ok(response)
}

/// Returns whether `If-None-Match` names the blob.
pub(super) fn has_already(headers: &HeaderMap, hash: BlobHash) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = tags.filter_map(|tags| tags.to_str().ok()).flat_map(|tags| tags.split(','));
    let tag = tag(hash);
    tags.map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Returns whether `If-Range` allows a part of this blob.
fn is_same_version(headers: &HeaderMap, hash: BlobHash) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == tag(hash).as_bytes())
}

/// Answers that the client's copy of the blob is current.
pub(super) fn not_modified(hash: BlobHash) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    set_caching_headers(response.headers_mut(), hash);
    response
}

fn tag(hash: BlobHash) -> String {
    format!("\"{hash}\"")
}

/// Sets the headers of a blob of `length` bytes. A blob is named by its hash, so it can be cached forever.
pub(super) fn set_file_headers(headers: &mut HeaderMap, hash: BlobHash, length: u64) {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    set_caching_headers(headers, hash);
}

fn set_caching_headers(headers: &mut HeaderMap, hash: BlobHash) {
    let caching = HeaderValue::from_static("private, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, caching);
    insert(headers, header::ETAG, &tag(hash));
}

fn unsatisfiable(length: u64) -> Response {
    let failure = ApiError::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range",
        "Range not satisfiable",
        format!(
            "the range is outside the file, which has {length} bytes; request a range within it"
        ),
    );
    let mut response = failure.into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

/// Sets a header. Does nothing if the value is not a valid header value.
pub(super) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Parses a `Range` header for a file of `length` bytes.
fn requested_range(range: Option<&str>, length: u64) -> RequestedRange {
    let Some((first, last)) = range
        .and_then(|range| range.strip_prefix("bytes="))
        .filter(|range| !range.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return RequestedRange::Whole;
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let (start, end) = match (first, last) {
        ("", last) => match number(last) {
            Some(0) => return RequestedRange::Unsatisfiable,
            Some(count) => (length.saturating_sub(count), length),
            None => return RequestedRange::Whole,
        },
        (first, "") => match number(first) {
            Some(start) => (start, length),
            None => return RequestedRange::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), Some(last)) if start <= last => {
                (start, last.saturating_add(1).min(length))
            }
            (Some(_) | None, Some(_) | None) => return RequestedRange::Whole,
        },
    };
    if start < end {
        RequestedRange::Part(start, end - start)
    } else {
        RequestedRange::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_compared() {
        let hash = BlobHash::compute(b"x");
        let with = |name: header::HeaderName, value: &str| {
            HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
        };
        let (own, other) = (tag(hash), tag(BlobHash::compute(b"y")));
        for (value, expected) in [
            (own.clone(), true),
            (format!("W/{own}"), true),
            (format!("{other}, {own}"), true),
            ("*".to_owned(), true),
            (other.clone(), false),
            (hash.to_string(), false),
        ] {
            let headers = with(header::IF_NONE_MATCH, &value);
            assert_eq!(has_already(&headers, hash), expected, "{value}");
        }
        assert!(!has_already(&HeaderMap::new(), hash));
        assert!(is_same_version(&HeaderMap::new(), hash));
        assert!(is_same_version(&with(header::IF_RANGE, &own), hash));
        assert!(!is_same_version(&with(header::IF_RANGE, &other), hash));
    }

    #[test]
    fn range_headers_are_parsed() {
        for (range, expected) in [
            (None, RequestedRange::Whole),
            (Some("bytes=0-3"), RequestedRange::Part(0, 4)),
            (Some("bytes=4-"), RequestedRange::Part(4, 6)),
            (Some("bytes=-3"), RequestedRange::Part(7, 3)),
            (Some("bytes=-30"), RequestedRange::Part(0, 10)),
            (Some("bytes=8-100"), RequestedRange::Part(8, 2)),
            (Some("bytes=10-"), RequestedRange::Unsatisfiable),
            (Some("bytes=-0"), RequestedRange::Unsatisfiable),
            (Some("bytes=5-4"), RequestedRange::Whole),
            (Some("bytes=0-1,4-5"), RequestedRange::Whole),
            (Some("lines=0-1"), RequestedRange::Whole),
            (Some("bytes=x-"), RequestedRange::Whole),
        ] {
            assert_eq!(requested_range(range, 10), expected, "{range:?}");
        }
        assert_eq!(requested_range(Some("bytes=0-0"), 0), RequestedRange::Unsatisfiable);
    }
}
