//! Blobs that were fetched, by their hash, sealed, in a folder of bounded size.
//!
//! What has its hash as its name is whole; a half download is `HASH.part` and goes on where it
//! broke off. The file's modification time is when it was last used.

mod part;
mod room;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hasher;
use protocol::BlobHash;
use protocol::encrypted_file::{StorageKey, plain_length, encrypted_length};
use reqwest::Response;
use tokio::time::timeout;

use crate::client::Client;
use crate::files::{blocking, is_damage, sealed_hash};
use crate::response::{Download, RequestError, late, unreachable};
use part::{Arrived, Part};
use room::Stock;
pub(crate) use room::{Quota, Shortage};

/// For the next bytes of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Times that a blob may arrive damaged before it is not the network's fault.
const DAMAGES: u32 = 3;

/// Why a blob can't be had, however often it is tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("blob {0} arrived damaged {DAMAGES} times")]
    Damaged(BlobHash),
    #[error("a blob is longer than the {at_most} bytes that it may have")]
    TooLong { at_most: u64 },
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

    /// The blob's file; fetched where it isn't here, of at most `at_most` bytes. Dropping the
    /// future keeps what has arrived.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        blob: &BlobHash,
        at_most: u64,
        failed: impl Fn(&RequestError),
    ) -> Result<PathBuf, FetchError> {
        let path = self.path(blob);
        if self.is_here(&path, blob).await? {
            return Ok(path);
        }
        let (mut tries, mut damages) = (client.tries(), 0);
        loop {
            // Its hash's state is large, and rarely needed.
            match Box::pin(self.attempt(client, blob, at_most)).await {
                Ok(true) => return Ok(path),
                Ok(false) => damages += 1,
                Err(FetchError::Request(error)) if error.may_pass() => {
                    failed(&error);
                    client.pause_after(&error, &mut tries).await;
                }
                Err(error) => return Err(error),
            }
            if damages == DAMAGES {
                return Err(FetchError::Damaged(*blob));
            }
        }
    }

    /// The blob's length where it is here, whole, as far as its file's length tells.
    pub(crate) fn length(&self, blob: &BlobHash) -> Option<u64> {
        plain_length(fs::metadata(self.path(blob)).ok()?.len())
    }

    /// Makes room for these blobs, each with its length, and for a desk: of `desk` bytes in all, of
    /// which `on_desk` are there. What was used longest ago goes first, and nothing goes where that
    /// would not help.
    pub(crate) async fn make_room(
        &self,
        blobs: &[(BlobHash, u64)],
        desk: u64,
        on_desk: u64,
    ) -> Result<(), FetchError> {
        let (cache, blobs) = (self.clone(), blobs.to_vec());
        blocking(move || Ok(cache.make_room_now(&blobs, desk, on_desk))).await?
    }

    fn make_room_now(
        &self,
        blobs: &[(BlobHash, u64)],
        desk: u64,
        on_desk: u64,
    ) -> Result<(), FetchError> {
        let mut stock = Stock {
            needed: on_desk,
            others: 0,
            more: desk.saturating_sub(on_desk),
            free: platform::files::space(&self.folder)?.free,
        };
        let mut here = vec![0; blobs.len()];
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (metadata, name) = (entry.metadata()?, entry.file_name());
            let of = |(blob, _): &(BlobHash, u64)| {
                name.to_string_lossy().starts_with(blob.to_string().as_str())
            };
            if let Some(index) = blobs.iter().position(of) {
                here[index] += metadata.len();
                stock.needed += metadata.len();
            } else {
                stock.others += metadata.len();
                others.push((metadata.modified()?, metadata.len(), name));
            }
        }
        for ((_, length), here) in blobs.iter().zip(here) {
            stock.more += encrypted_length(*length).saturating_sub(here);
        }
        let excess = self.quota.excess(&stock)?;
        others.sort();
        let mut removed = 0;
        for (_, length, name) in others {
            if removed >= excess {
                break;
            }
            fs::remove_file(self.folder.join(name))?;
            removed += length;
        }
        Ok(())
    }

    /// Whether the file is there and is what its name says: a disk may have lost its end.
    async fn is_here(&self, path: &Path, blob: &BlobHash) -> io::Result<bool> {
        let (path, blob, key) = (path.to_owned(), *blob, self.key.clone());
        blocking(move || {
            match sealed_hash(&path, &key) {
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

    /// One try, from where the last one ended; whether the blob is whole then. Where it arrived
    /// damaged nothing is left of it.
    async fn attempt(
        &self,
        client: &Client,
        blob: &BlobHash,
        at_most: u64,
    ) -> Result<bool, FetchError> {
        let part = Part::new(self.folder.join(format!("{blob}.part")), self.key.clone());
        let on_disk = part.clone();
        let Arrived { mut hasher, whole, place } = blocking(move || on_disk.arrived()).await?;
        let length = hasher.count();
        // All of it may have arrived just before the last try broke off.
        if !whole {
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
                part.resume(&place).await?
            } else {
                part.remove()?;
                return Ok(false);
            };
            match write(client, &mut writer, &mut response, &mut hasher, at_most).await {
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

/// The body's pieces into the file and the hash, until the body ends.
async fn write(
    client: &Client,
    writer: &mut part::Writer,
    response: &mut Response,
    hasher: &mut Hasher,
    at_most: u64,
) -> Result<(), FetchError> {
    loop {
        let piece = async {
            let piece = timeout(PIECE_TIMEOUT, response.chunk()).await.map_err(|_| late())?;
            piece.map_err(|error| unreachable(&error))
        };
        let Some(piece) = client.unless_woken(piece).await? else { return Ok(()) };
        hasher.update(&piece);
        if hasher.count() > at_most {
            return Err(FetchError::TooLong { at_most });
        }
        writer.push(&piece).await?;
    }
}

#[cfg(test)]
mod tests;
