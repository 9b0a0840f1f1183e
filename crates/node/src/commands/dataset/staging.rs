//! Uploads of files for an import, resumed when the connection breaks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::dataset::import::FileRole;
use protocol::dataset::upload::{ImportSource, StagedUpload};
use reqwest::{Body, Method};
use tokio::io::AsyncSeekExt;
use tokio_util::io::ReaderStream;

use super::archive::FolderArchive;
use crate::client::{Client, ClientError, escaped};
use crate::commands::input_file::{self, InputFile};
use crate::output;

/// Number of attempts in a row that may make no progress.
const MOST_ATTEMPTS: u32 = 5;
/// Delay before the first repeated attempt. It doubles with every attempt that makes no progress.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Time between two questions for the number of rows.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Size of the pieces that are read from a file.
const PIECE: usize = 256 << 10;

/// Uploaded files. They are deleted with [`StagedFiles::delete`], or after an hour.
#[derive(Debug)]
pub(super) struct StagedFiles {
    client: Client,
    pub(super) sources: Vec<ImportSource>,
}

/// File or packed folder.
#[derive(Debug)]
enum Source {
    File(InputFile),
    Folder(FolderArchive),
}

impl StagedFiles {
    /// Uploads the files in order. Checks first that all can be read, and that a dataset can have the name. If
    /// one fails, none is left.
    pub(super) async fn upload(
        client: &Client,
        files: &[(PathBuf, FileRole)],
        name: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut opened = Vec::new();
        for (path, role) in files {
            let source = Source::open(path).await?;
            opened.push((source.name(path)?, source, *role));
        }
        let bar = bar(opened.iter().map(|(_, source, _)| source.length()).sum())?;
        let mut staged = Self { client: client.clone(), sources: Vec::new() };
        let uploading = async {
            for (filename, source, role) in &opened {
                bar.set_message(filename.clone());
                let created = create(client, filename, source.length(), name).await?;
                staged.sources.push(ImportSource { id: created.id, role: *role });
                send(client, source, created, &bar).await?;
            }
            anyhow::Ok(())
        };
        let uploaded = uploading.await;
        bar.finish_and_clear();
        match uploaded {
            Ok(()) => Ok(staged),
            Err(error) => {
                staged.delete().await;
                Err(error)
            }
        }
    }

    /// Deletes the files on the coordinator. Errors are ignored: unused files are deleted after an hour.
    pub(super) async fn delete(self) {
        for source in &self.sources {
            drop(self.client.delete(&path_of(source)).await);
        }
    }

    /// Waits for an import or inspection and shows the number of rows that it has read.
    pub(super) async fn watch<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        let (Some(first), true) = (self.sources.first(), output::is_watched()) else {
            return Ok(work.await);
        };
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(ProgressStyle::with_template("{spinner} {msg}")?);
        spinner.set_message("waiting for the coordinator");
        let path = path_of(first);
        let showing = async {
            loop {
                tokio::time::sleep(PROGRESS_INTERVAL).await;
                let state = self.client.get::<StagedUpload>(&path).await;
                if let Some(rows) = state.ok().and_then(|state| state.rows_read) {
                    spinner.set_message(format!("reading: {rows} rows"));
                }
                spinner.tick();
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = showing => unreachable!("it never ends by itself"),
        };
        spinner.finish_and_clear();
        Ok(done)
    }
}

impl Source {
    async fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot_read = || format!("can't read {}", path.display());
        if path.is_dir() {
            let folder = path.to_owned();
            let listed = tokio::task::spawn_blocking(move || FolderArchive::list(&folder)).await?;
            let archive = listed.with_context(cannot_read)?;
            if archive.is_empty() {
                bail!("{} contains no file", path.display());
            }
            return Ok(Self::Folder(archive));
        }
        // An unreadable file is noticed before anything is sent.
        let opened = path.to_owned();
        let input = tokio::task::spawn_blocking(move || input_file::open(&opened)).await??;
        if input.length == 0 {
            bail!("{} is empty", input.name);
        }
        Ok(Self::File(input))
    }

    const fn length(&self) -> u64 {
        match self {
            Self::File(input) => input.length,
            Self::Folder(archive) => archive.length,
        }
    }

    /// Returns the bytes from `offset` on. The progress bar counts them.
    async fn bytes(&self, offset: u64, bar: &ProgressBar) -> anyhow::Result<Body> {
        match self {
            Self::File(input) => {
                let cannot_read = || format!("can't read {}", input.name);
                let mut file =
                    tokio::fs::File::from_std(input.file.try_clone().with_context(cannot_read)?);
                file.seek(io::SeekFrom::Start(offset)).await.with_context(cannot_read)?;
                Ok(counted(ReaderStream::with_capacity(file, PIECE), bar))
            }
            Self::Folder(archive) => Ok(counted(archive.clone().bytes(offset), bar)),
        }
    }

    /// Returns the name under which the file or folder at `path` is uploaded.
    fn name(&self, path: &Path) -> anyhow::Result<String> {
        match self {
            Self::File(input) => Ok(input.name.clone()),
            Self::Folder(_) => {
                // `.` and `..` have no name of their own.
                let folder = path.canonicalize()?;
                Ok(format!("{}.tar", folder.file_name().unwrap_or_default().to_string_lossy()))
            }
        }
    }
}

async fn create(
    client: &Client,
    filename: &str,
    length: u64,
    name: Option<&str>,
) -> anyhow::Result<StagedUpload> {
    let filename = escaped(filename);
    let name = name.map_or(String::new(), |name| format!("&name={}", escaped(name)));
    let path = format!("/datasets/uploads?filename={filename}&length={length}{name}");
    Ok(client.decode(client.send(client.request(Method::POST, &path)).await?).await?)
}

/// Sends a file's bytes. Resumes after the stored ones if the connection breaks.
async fn send(
    client: &Client,
    source: &Source,
    created: StagedUpload,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let path = format!("/datasets/uploads/{}", created.id);
    let (before, mut stored, mut attempts) = (bar.position(), created.received, 0);
    loop {
        bar.set_position(before + stored);
        let request = client
            .request(Method::PATCH, &path)
            .header("Content-Type", "application/octet-stream")
            .header("Upload-Offset", stored)
            .header("Content-Length", created.length - stored)
            .body(source.bytes(stored, bar).await?);
        let error = match client.send(request).await {
            Ok(_) => {
                bar.set_position(before + created.length);
                return Ok(());
            }
            Err(error) if is_resumable(&error) => error,
            Err(error) => return Err(error.into()),
        };
        attempts += 1;
        if attempts > MOST_ATTEMPTS {
            return Err(error.into());
        }
        tokio::time::sleep(FIRST_DELAY * 2_u32.pow(attempts - 1)).await;
        match client.get::<StagedUpload>(&path).await {
            Ok(state) if state.received > stored => {
                (stored, attempts) = (state.received, 0);
            }
            Ok(state) => stored = state.received,
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        if stored == created.length {
            return Ok(());
        }
    }
}

fn is_resumable(error: &ClientError) -> bool {
    let kinds = ["offset-mismatch", "broken-upload", "late-body"];
    if let ClientError::Refused(problem) = error {
        return kinds.contains(&problem.kind.as_str());
    }
    error.is_transient()
}

/// Counts the bytes of a body in the progress bar.
fn counted(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    bar: &ProgressBar,
) -> Body {
    let bar = bar.clone();
    Body::wrap_stream(bytes.inspect(move |piece| {
        bar.inc(piece.as_ref().map_or(0, |piece| piece.len() as u64));
    }))
}

fn path_of(source: &ImportSource) -> String {
    format!("/datasets/uploads/{}", source.id)
}

fn bar(length: u64) -> anyhow::Result<ProgressBar> {
    let bar = if output::is_watched() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    let style = "{msg}  {bar:30} {bytes}/{total_bytes}  {eta}";
    Ok(bar.with_style(ProgressStyle::with_template(style)?))
}
