//! Sending files: whole, or the one range that was asked for (RFC 9110 §14).

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

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// All of it: no range, or one that we don't serve, which may be ignored.
    Whole,
    /// From here, this many bytes.
    Part(u64, u64),
    /// Beyond the end.
    Nothing,
}

/// The blob, or the part of it that the headers ask for.
pub(super) async fn send(
    blobs: &Blobs,
    hash: BlobHash,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let (blobs, found) = (blobs.clone(), hash);
    let file = tokio::task::spawn_blocking(move || blobs.file(found)).await;
    let file = file.map_err(|error| ApiError::internal(error.to_string()))??;
    let file = file.ok_or_else(|| {
        ApiError::not_found("unknown-blob", format!("there is no blob {hash} here"))
    })?;
    let mut file = tokio::fs::File::from_std(file);
    let length = file.metadata().await?.len();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (status, start, count) = match asked(range, length) {
        Asked::Whole => (StatusCode::OK, 0, length),
        Asked::Part(start, count) => (StatusCode::PARTIAL_CONTENT, start, count),
        Asked::Nothing => return Ok(unsatisfiable(length)),
    };
    file.seek(SeekFrom::Start(start)).await?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(count), CHUNK));
    let mut response = (status, body).into_response();
    describe(response.headers_mut(), hash, count);
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {start}-{}/{length}", start + count - 1);
        insert(response.headers_mut(), header::CONTENT_RANGE, &part);
    }
    Ok(response)
}

/// The headers of a blob of `length` bytes. Its name is its content: it never changes.
pub(super) fn describe(headers: &mut HeaderMap, hash: BlobHash, length: u64) {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    let caching = HeaderValue::from_static("private, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, caching);
    insert(headers, header::ETAG, &format!("\"{hash}\""));
}

fn unsatisfiable(length: u64) -> Response {
    let failure = ApiError::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range",
        "Range not satisfiable",
        format!("there are {length} bytes; ask for some of them"),
    );
    let mut response = failure.into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
    response
}

pub(super) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn asked(range: Option<&str>, length: u64) -> Asked {
    let Some((first, last)) = range
        .and_then(|range| range.strip_prefix("bytes="))
        .filter(|range| !range.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::Whole;
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let (start, end) = match (first, last) {
        ("", last) => match number(last) {
            Some(0) => return Asked::Nothing,
            Some(count) => (length.saturating_sub(count), length),
            None => return Asked::Whole,
        },
        (first, "") => match number(first) {
            Some(start) => (start, length),
            None => return Asked::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), Some(last)) if start <= last => {
                (start, last.saturating_add(1).min(length))
            }
            (Some(_) | None, Some(_) | None) => return Asked::Whole,
        },
    };
    if start < end { Asked::Part(start, end - start) } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            (None, Asked::Whole),
            (Some("bytes=0-3"), Asked::Part(0, 4)),
            (Some("bytes=4-"), Asked::Part(4, 6)),
            (Some("bytes=-3"), Asked::Part(7, 3)),
            (Some("bytes=-30"), Asked::Part(0, 10)),
            (Some("bytes=8-100"), Asked::Part(8, 2)),
            (Some("bytes=10-"), Asked::Nothing),
            (Some("bytes=-0"), Asked::Nothing),
            (Some("bytes=5-4"), Asked::Whole),
            (Some("bytes=0-1,4-5"), Asked::Whole),
            (Some("lines=0-1"), Asked::Whole),
            (Some("bytes=x-"), Asked::Whole),
        ] {
            assert_eq!(asked(range, 10), expected, "{range:?}");
        }
        assert_eq!(asked(Some("bytes=0-0"), 0), Asked::Nothing);
    }
}
