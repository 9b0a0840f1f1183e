//! `/backup`: the coordinator's whole state as one file. `/backups`: state of the scheduled backups.

use std::io::{self, BufWriter, Write};
use std::sync::PoisonError;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::backup::{Backup, BackupError, ScheduleState, file_name};
use crate::blobs::is_full;
use crate::clock;
use crate::http::auth::extractors::{Admin, Viewer};
use crate::http::files;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 256 << 10;
/// Maximum number of chunks that wait for the network.
const QUEUED_CHUNKS: usize = 4;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(backup)).routes(routes!(scheduled))
}

/// Makes a backup now and returns it as a tar archive for `constellation restore`. It contains the
/// cluster's private key, so store it securely.
#[utoipa::path(get, path = "/backup", tag = "backup", security(("token" = ["admin"])),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
async fn backup(admin: Admin, State(shared): State<ApiState>) -> ApiResult<Response> {
    let source = shared.backup_source();
    let now = clock::now();
    let taken = tokio::task::spawn_blocking(move || source.take(now)).await;
    let backup = taken.map_err(|error| ApiError::internal(error.to_string()))??;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(backup.length()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    let name = file_name(now);
    let disposition = format!("attachment; filename=\"{name}\"");
    files::insert(&mut headers, header::CONTENT_DISPOSITION, &disposition);
    // Audited before the first byte is sent, because a backup contains all secrets.
    shared.driver.audited(&admin.0).backup_written(name, backup.length()).await?;
    Ok((headers, body(backup)).into_response())
}

/// Streams the archive while it is written. If writing fails, the answer is aborted.
fn body(backup: Backup) -> Body {
    let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, ChunkSender(sender.clone()));
        if let Err(error) = backup.write(&mut out) {
            tracing::warn!(%error, "a backup could not be sent completely");
            // Discard buffered bytes, so that the archive can't look complete.
            drop(out.into_parts());
            drop(sender.blocking_send(Err(io::Error::other(error))));
        }
    });
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    Body::from_stream(chunks)
}

/// Writer that sends each write as a chunk and waits for the receiver.
struct ChunkSender(mpsc::Sender<io::Result<Bytes>>);

impl Write for ChunkSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the state of the scheduled backups.
#[utoipa::path(get, path = "/backups", tag = "backup", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = ScheduleState)))]
async fn scheduled(_: Viewer, State(shared): State<ApiState>) -> Json<ScheduleState> {
    Json(shared.backups.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Io { source, .. } if is_full(&source) => source.into(),
            BackupError::Store(error) => error.into(),
            BackupError::Io { .. }
            | BackupError::Missing(_)
            | BackupError::Damaged(_)
            | BackupError::Foreign(_)
            | BackupError::Broken(_)
            | BackupError::Newer { .. } => Self::internal(error.to_string()),
        }
    }
}
