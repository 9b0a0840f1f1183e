//! `/backup`: everything the coordinator is, as one file; and how the scheduled backups go.

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

use super::auth::{Admin, Viewer};
use super::problem::{ApiError, ApiResult};
use super::{Shared, files};
use crate::backup::{Backup, BackupError, ScheduleState, file_name};
use crate::blobs::is_full;
use crate::clock;

/// Bytes sent at a time.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the network.
const WAITING: usize = 4;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(backup)).routes(routes!(scheduled))
}

/// A backup of this moment, a tar archive; `constellation restore` takes it. It holds the cluster's
/// private key: keep it as you keep that.
#[utoipa::path(get, path = "/backup", tag = "backup", security(("token" = ["admin"])),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>)))]
async fn backup(admin: Admin, State(shared): State<Shared>) -> ApiResult<Response> {
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
    // Before the first byte leaves: who has a backup has everything.
    shared.driver.by(&admin.0).backup_written(name, backup.length()).await?;
    Ok((headers, body(backup)).into_response())
}

/// The archive as it is written; one that can't be written to its end breaks off.
fn body(backup: Backup) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        if let Err(error) = backup.write(&mut out) {
            tracing::warn!(%error, "a backup broke off");
            // What is still in the buffer must not make it look whole.
            drop(out.into_parts());
            drop(sender.blocking_send(Err(io::Error::other(error))));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    Body::from_stream(pieces)
}

/// Hands on what is written, and waits for whoever reads.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How the backups go that the coordinator makes by itself.
#[utoipa::path(get, path = "/backups", tag = "backup", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = ScheduleState)))]
async fn scheduled(_: Viewer, State(shared): State<Shared>) -> Json<ScheduleState> {
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
