//! Blob cache: fetched blobs, encrypted, in a folder of bounded size.
//!
//! A complete blob is a file named by its hash. A partial download is `HASH.part` and is resumed. A
//! file's modification time is when it was last used; the least recently used files are evicted first.

mod part;
mod quota;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hasher;
use protocol::BlobHash;
use protocol::encrypted_file::{StorageKey, encrypted_length, plain_length};
use reqwest::Response;
use tokio::time::timeout;

use crate::files::{blocking, is_damage, plaintext_hash};
use crate::net::client::Client;
use crate::net::response::{Download, RequestError, timed_out, unreachable};
use part::{Part, Received};
use quota::Usage;
pub(crate) use quota::{Quota, Shortage};

/// Time limit for the next bytes of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Number of damaged downloads after which the network is not to blame.
const MAXIMUM_DAMAGED: u32 = 3;

/// Why a blob can't be fetched, even by trying again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("blob {0} arrived damaged {MAXIMUM_DAMAGED} times")]
    Damaged(BlobHash),
    #[error("a blob is longer than its limit of {maximum} bytes")]
    TooLong { maximum: u64 },
    #[error(transparent)]
    Shortage(#[from] Shortage),
    #[error("the blob cache can't be written: {0}; is the disk full?")]
    Disk(#[from] io::Error),
}

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
    quota: Quota,
    key: StorageKey,
}

impl Cache {
    pub(crate) fn open(folder: PathBuf, quota: Quota, key: StorageKey) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, quota, key })
    }

    /// Returns the blob's file. Downloads it first if it is not cached, up to `maximum` bytes. Calls
    /// `failed` with each attempt that fails. Dropping the future keeps the bytes that have arrived.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        blob: &BlobHash,
        maximum: u64,
        failed: impl Fn(&RequestError),
    ) -> Result<PathBuf, FetchError> {
        let path = self.path(blob);
        if self.is_cached(&path, blob).await? {
            return Ok(path);
        }
        let (mut attempts, mut damaged) = (client.attempts(), 0);
        loop {
            // Boxed because the hasher's state is large and rarely needed.
            match Box::pin(self.attempt(client, blob, maximum)).await {
                Ok(true) => return Ok(path),
                Ok(false) => damaged += 1,
                Err(FetchError::Request(error)) if error.is_transient() => {
                    failed(&error);
                    client.pause_after(&error, &mut attempts).await;
                }
                Err(error) => return Err(error),
            }
            if damaged == MAXIMUM_DAMAGED {
                return Err(FetchError::Damaged(*blob));
            }
        }
    }

    /// Returns the length in bytes of a cached blob, derived from its file's length.
    pub(crate) fn length(&self, blob: &BlobHash) -> Option<u64> {
        plain_length(fs::metadata(self.path(blob)).ok()?.len())
    }

    /// Makes room for these blobs, each with its length, and for a lease workspace of `workspace` bytes, of
    /// which `in_workspace` exist already. Evicts the least recently used files. Evicts nothing if that
    /// would not make enough room.
    pub(crate) async fn make_room(
        &self,
        blobs: &[(BlobHash, u64)],
        workspace: u64,
        in_workspace: u64,
    ) -> Result<(), FetchError> {
        let (cache, blobs) = (self.clone(), blobs.to_vec());
        blocking(move || Ok(cache.make_room_now(&blobs, workspace, in_workspace))).await?
    }

    fn make_room_now(
        &self,
        blobs: &[(BlobHash, u64)],
        workspace: u64,
        in_workspace: u64,
    ) -> Result<(), FetchError> {
        let mut usage = Usage {
            own: in_workspace,
            evictable: 0,
            to_write: workspace.saturating_sub(in_workspace),
            free: platform::files::space(&self.folder)?.free,
        };
        let mut present = vec![0; blobs.len()];
        let mut evictable = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (metadata, name) = (entry.metadata()?, entry.file_name());
            let is_file_of = |(blob, _): &(BlobHash, u64)| {
                name.to_string_lossy().starts_with(blob.to_string().as_str())
            };
            if let Some(index) = blobs.iter().position(is_file_of) {
                present[index] += metadata.len();
                usage.own += metadata.len();
            } else {
                usage.evictable += metadata.len();
                evictable.push((metadata.modified()?, metadata.len(), name));
            }
        }
        for ((_, length), present) in blobs.iter().zip(present) {
            usage.to_write += encrypted_length(*length).saturating_sub(present);
        }
        let excess = self.quota.excess(&usage)?;
        evictable.sort();
        let mut removed = 0;
        for (_, length, name) in evictable {
            if removed >= excess {
                break;
            }
            fs::remove_file(self.folder.join(name))?;
            removed += length;
        }
        Ok(())
    }

    /// Whether the file exists and has the hash in its name. A disk may have lost its end.
    async fn is_cached(&self, path: &Path, blob: &BlobHash) -> io::Result<bool> {
        let (path, blob, key) = (path.to_owned(), *blob, self.key.clone());
        blocking(move || {
            match plaintext_hash(&path, &key) {
                Ok(hash) if hash == blob => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) if !is_damage(&error) => return Err(error),
                Ok(_) | Err(_) => {
                    tracing::warn!(%blob, "a cached blob is damaged; fetching it again");
                    fs::remove_file(&path)?;
                    return Ok(false);
                }
            }
            fs::File::open(&path)?.set_modified(SystemTime::now())?;
            Ok(true)
        })
        .await
    }

    /// One attempt, from where the last one ended. Returns whether the blob is complete; `false` means that
    /// it was damaged and removed.
    async fn attempt(
        &self,
        client: &Client,
        blob: &BlobHash,
        maximum: u64,
    ) -> Result<bool, FetchError> {
        let part = Part::new(self.folder.join(format!("{blob}.part")), self.key.clone());
        let on_disk = part.clone();
        let Received { mut hasher, complete, position } =
            blocking(move || on_disk.received()).await?;
        let length = hasher.count();
        // The last attempt may have failed just after the last frame was written.
        if !complete {
            let (start, mut response) = match client.download(blob, length).await? {
                Download::From { start, response } => (start, response),
                Download::OutOfRange => {
                    part.remove()?;
                    return Ok(false);
                }
            };
            let mut writer = if start == 0 {
                hasher = Hasher::new();
                part.begin().await?
            } else if start == length {
                part.resume(&position).await?
            } else {
                part.remove()?;
                return Ok(false);
            };
            match write(client, &mut writer, &mut response, &mut hasher, maximum).await {
                Ok(()) => writer.finish().await?,
                Err(error @ FetchError::TooLong { .. }) => {
                    part.remove()?;
                    return Err(error);
                }
                Err(error) => {
                    writer.keep().await?;
                    return Err(error);
                }
            }
        }
        if BlobHash::from(hasher.finalize()) != *blob {
            part.remove()?;
            return Ok(false);
        }
        fs::rename(part.path(), self.path(blob))?;
        Ok(true)
    }

    fn path(&self, blob: &BlobHash) -> PathBuf {
        self.folder.join(blob.to_string())
    }
}

/// Writes the body into the file and the hash until it ends.
async fn write(
    client: &Client,
    writer: &mut part::Writer,
    response: &mut Response,
    hasher: &mut Hasher,
    maximum: u64,
) -> Result<(), FetchError> {
    loop {
        let piece = async {
            let piece = timeout(PIECE_TIMEOUT, response.chunk()).await.map_err(|_| timed_out())?;
            piece.map_err(|error| unreachable(&error))
        };
        let Some(piece) = client.unless_woken(piece).await? else { return Ok(()) };
        hasher.update(&piece);
        if hasher.count() > maximum {
            return Err(FetchError::TooLong { maximum });
        }
        writer.push(&piece).await?;
    }
}

#[cfg(test)]
mod tests;
