//! Blobs that were fetched, by their hash, in a folder of bounded size.
//!
//! What has its hash as its name is whole; a half download is `HASH.part` and goes on where it
//! broke off. The file's modification time is when it was last used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hasher;
use protocol::BlobHash;
use reqwest::Response;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::answer::{RequestError, late, unreachable};
use crate::client::{Client, Download};
use crate::retry::Backoff;

/// For the next bytes of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that wait for the disk.
const PIECE: usize = 64 << 10;
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
    #[error("the blob cache can't be written: {0}; is the disk full?")]
    Disk(#[from] io::Error),
}

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
    maximum_bytes: u64,
}

impl Cache {
    /// `maximum_bytes`: what stays after [`Cache::trim`].
    pub(crate) fn open(folder: PathBuf, maximum_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, maximum_bytes })
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
        let path = self.folder.join(blob.to_string());
        if self.is_here(&path, blob).await? {
            return Ok(path);
        }
        let (mut backoff, mut damages) = (Backoff::default(), 0);
        loop {
            match self.attempt(client, blob, at_most).await {
                Ok(true) => return Ok(path),
                Ok(false) => damages += 1,
                Err(FetchError::Request(error)) if error.may_pass() => {
                    failed(&error);
                    client.pause_after(&error, &mut backoff).await;
                }
                Err(error) => return Err(error),
            }
            if damages == DAMAGES {
                return Err(FetchError::Damaged(*blob));
            }
        }
    }

    /// Removes what was used longest ago until the folder is small enough; what `keep` names stays.
    pub(crate) async fn trim(&self, keep: &[BlobHash]) -> io::Result<()> {
        let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
        let cache = self.clone();
        blocking(move || cache.trim_now(&keep)).await
    }

    fn trim_now(&self, keep: &[String]) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            files.push((metadata.modified()?, metadata.len(), entry.file_name()));
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (_, length, name) in files {
            if total <= self.maximum_bytes {
                break;
            }
            if !keep.iter().any(|kept| name.to_string_lossy().starts_with(kept.as_str())) {
                fs::remove_file(self.folder.join(name))?;
                total -= length;
            }
        }
        Ok(())
    }

    /// Whether the file is there and is what its name says: a disk may have lost its end.
    async fn is_here(&self, path: &Path, blob: &BlobHash) -> io::Result<bool> {
        let (path, blob) = (path.to_owned(), *blob);
        blocking(move || {
            let Some((hasher, _)) = hashed(&path)? else { return Ok(false) };
            if BlobHash::from(hasher.finalize()) != blob {
                tracing::warn!(%blob, "a cached blob is damaged; fetching it again");
                fs::remove_file(&path)?;
                return Ok(false);
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
        let part = self.folder.join(format!("{blob}.part"));
        let on_disk = part.clone();
        let (mut hasher, length) = blocking(move || hashed(&on_disk)).await?.unwrap_or_default();
        // All of it may have arrived just before the last try broke off.
        if length == 0 || BlobHash::from(hasher.finalize()) != *blob {
            let (start, mut response) = match client.download(blob, length).await? {
                Download::From { start, response } => (start, response),
                Download::OutOfRange => {
                    remove(&part)?;
                    return Ok(false);
                }
            };
            if start == 0 {
                hasher = Hasher::new();
            } else if start != length {
                remove(&part)?;
                return Ok(false);
            }
            let mut file = open(&part, start).await?;
            let written = write(&mut file, &mut response, &mut hasher, at_most).await;
            // What has arrived must be in the file before the next try reads it.
            file.sync_all().await?;
            match written {
                Err(error @ FetchError::TooLong { .. }) => {
                    remove(&part)?;
                    return Err(error);
                }
                other => other?,
            }
        }
        if BlobHash::from(hasher.finalize()) != *blob {
            remove(&part)?;
            return Ok(false);
        }
        fs::rename(&part, self.folder.join(blob.to_string()))?;
        Ok(true)
    }
}

async fn open(part: &Path, start: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(start == 0).open(part).await?;
    file.set_max_buf_size(PIECE);
    file.seek(io::SeekFrom::Start(start)).await?;
    Ok(file)
}

/// The body's pieces into the file and the hash, until the body ends.
async fn write(
    file: &mut File,
    response: &mut Response,
    hasher: &mut Hasher,
    at_most: u64,
) -> Result<(), FetchError> {
    loop {
        let piece = timeout(PIECE_TIMEOUT, response.chunk()).await.map_err(|_| late())?;
        let Some(piece) = piece.map_err(|error| unreachable(&error))? else { return Ok(()) };
        hasher.update(&piece);
        if hasher.count() > at_most {
            return Err(FetchError::TooLong { at_most });
        }
        file.write_all(&piece).await?;
    }
}

/// The state of hashing a file and its length; none where there is no file.
fn hashed(path: &Path) -> io::Result<Option<(Hasher, u64)>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hasher = Hasher::new();
    hasher.update_reader(file)?;
    let length = hasher.count();
    Ok(Some((hasher, length)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::test_server::{Server, Step};

    const BLOB: &[u8] = b"0123456789";

    #[tokio::test]
    async fn a_blob_is_fetched_once() {
        let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
        let (_folder, cache) = cache(1000);
        for _ in 0..2 {
            let path = fetch(&cache, &server, 100).await.unwrap();
            assert_eq!(fs::read(path).unwrap(), BLOB);
        }
        assert_eq!(server.asked()[0].header("range"), None);
    }

    #[tokio::test]
    async fn a_broken_download_goes_on_where_it_broke() {
        let rest = "Content-Range: bytes 4-9/10\r\n";
        let server = Server::start(vec![
            Step::broken("200 OK", "", BLOB, 4),
            Step::answer("500 Internal Server Error", "", b""),
            Step::answer("206 Partial Content", rest, &BLOB[4..]),
        ])
        .await;
        let (folder, cache) = cache(1000);
        let path = fetch(&cache, &server, 100).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), BLOB);
        assert_eq!(server.asked()[2].header("range"), Some("bytes=4-"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_server_without_ranges_sends_all_of_it_again() {
        let steps = vec![Step::broken("200 OK", "", BLOB, 4), Step::answer("200 OK", "", BLOB)];
        let server = Server::start(steps).await;
        let (_folder, cache) = cache(1000);
        let path = fetch(&cache, &server, 100).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), BLOB);
    }

    #[tokio::test]
    async fn a_whole_part_needs_no_server() {
        let server = Server::start(vec![]).await;
        let (folder, cache) = cache(1000);
        fs::write(folder.path().join(format!("{}.part", BlobHash::of(BLOB))), BLOB).unwrap();
        fetch(&cache, &server, 100).await.unwrap();
    }

    #[tokio::test]
    async fn damage_is_fetched_anew() {
        let server = Server::start(vec![
            Step::answer("416 Range Not Satisfiable", "", b""),
            Step::answer("200 OK", "", b"012345678x"),
            Step::answer("200 OK", "", BLOB),
        ])
        .await;
        let (folder, cache) = cache(1000);
        let part = folder.path().join(format!("{}.part", BlobHash::of(BLOB)));
        fs::write(part, "too long for the blob").unwrap();
        let path = fetch(&cache, &server, 100).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), BLOB);
    }

    #[tokio::test]
    async fn a_server_that_always_sends_something_else_is_given_up() {
        let wrong = || Step::answer("200 OK", "", b"something else");
        let server = Server::start(vec![wrong(), wrong(), wrong()]).await;
        let (folder, cache) = cache(1000);
        let error = fetch(&cache, &server, 100).await.unwrap_err();
        assert!(matches!(error, FetchError::Damaged(_)), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_blob_that_is_too_long_is_not_kept() {
        let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
        let (folder, cache) = cache(1000);
        let error = fetch(&cache, &server, 9).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLong { at_most: 9 }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_refusal_is_the_end() {
        let server = Server::start(vec![Step::answer("404 Not Found", "", b"")]).await;
        let (_folder, cache) = cache(1000);
        let error = fetch(&cache, &server, 100).await.unwrap_err();
        assert!(matches!(error, FetchError::Request(RequestError::Refused(_))), "{error}");
    }

    #[tokio::test]
    async fn a_damaged_file_in_the_cache_is_fetched_again() {
        let server = Server::start(vec![Step::answer("200 OK", "", BLOB)]).await;
        let (folder, cache) = cache(1000);
        fs::write(folder.path().join(BlobHash::of(BLOB).to_string()), b"012345").unwrap();
        let path = fetch(&cache, &server, 100).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), BLOB);
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_goes_first_and_what_is_needed_stays() {
        let (folder, cache) = cache(25);
        let blobs: Vec<BlobHash> = (0..4_u8)
            .map(|age| {
                let blob = BlobHash::of(&[age]);
                let path = folder.path().join(blob.to_string());
                fs::write(&path, [age; 10]).unwrap();
                let used = SystemTime::now() - Duration::from_secs(1000 - u64::from(age));
                fs::File::open(path).unwrap().set_modified(used).unwrap();
                blob
            })
            .collect();
        cache.trim(&[blobs[0]]).await.unwrap();
        let is_there = |blob: &BlobHash| folder.path().join(blob.to_string()).exists();
        assert_eq!(blobs.iter().map(is_there).collect::<Vec<_>>(), [true, false, false, true]);
    }

    async fn fetch(cache: &Cache, server: &Server, at_most: u64) -> Result<PathBuf, FetchError> {
        cache.fetch(&server.client(), &BlobHash::of(BLOB), at_most, |_| {}).await
    }

    fn cache(maximum_bytes: u64) -> (TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().to_owned(), maximum_bytes).unwrap();
        (folder, cache)
    }
}
