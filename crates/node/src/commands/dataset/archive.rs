//! A folder as a tar archive, packed while it is sent.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc::{self, Sender};

/// Bytes that are sent at a time.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait for the network.
const WAITING_CHUNKS: usize = 4;

/// Files of a folder, as one tar archive. The same files give the same bytes.
#[derive(Debug, Clone)]
pub(super) struct FolderArchive {
    folder: PathBuf,
    /// Files relative to the folder, with their lengths, sorted.
    files: Vec<(PathBuf, u64)>,
    /// Length of the archive in bytes.
    pub(super) length: u64,
}

impl FolderArchive {
    /// Lists the files below the folder, except hidden ones, links and metadata of macOS. Blocks.
    pub(super) fn list(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        list(folder, &mut PathBuf::new(), &mut files)?;
        files.sort();
        let mut archive = Self { folder: folder.to_owned(), files, length: 0 };
        let mut counted = Counted(0);
        archive.write(&mut counted, |_, length| Ok(io::repeat(0).take(length)))?;
        archive.length = counted.0;
        Ok(archive)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the archive's bytes from `offset` on.
    pub(super) fn bytes(
        self,
        offset: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
        tokio::task::spawn_blocking(move || {
            let mut chunks = Chunks { skip: offset, waiting: Vec::new(), sender };
            let packed = self.write(&mut chunks, open).and_then(|()| chunks.flush());
            if let Err(error) = packed {
                // Fails if the receiver is gone, which needs no error.
                drop(chunks.sender.blocking_send(Err(error)));
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        })
    }

    fn write<R: Read>(
        &self,
        target: impl Write,
        open: impl Fn(&Path, u64) -> io::Result<R>,
    ) -> io::Result<()> {
        let mut builder = Builder::new(target);
        for (path, length) in &self.files {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(*length);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, open(&self.folder.join(path), *length)?)?;
        }
        builder.finish()
    }
}

fn list(folder: &Path, inner: &mut PathBuf, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(&*inner))? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "__MACOSX" {
            continue;
        }
        // Links are not followed, because they could form cycles or lead out of the folder.
        let metadata = entry.metadata()?;
        inner.push(&name);
        if metadata.is_file() {
            files.push((inner.clone(), metadata.len()));
        } else if metadata.is_dir() {
            list(folder, inner, files)?;
        }
        inner.pop();
    }
    Ok(())
}

fn open(path: &Path, length: u64) -> io::Result<Exact> {
    let file = File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    Ok(Exact { file: file.take(length), left: length, path: path.to_owned() })
}

/// Reader of a file that must still have its listed length.
struct Exact {
    file: io::Take<File>,
    left: u64,
    path: PathBuf,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left -= read as u64;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!(
                "{} became shorter while it was read; try again",
                self.path.display()
            )));
        }
        Ok(read)
    }
}

/// Counts bytes.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends bytes in chunks, except the first `skip` ones.
struct Chunks {
    skip: u64,
    waiting: Vec<u8>,
    sender: Sender<io::Result<Bytes>>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        self.waiting.extend_from_slice(&bytes[usize::try_from(skipped).unwrap_or(bytes.len())..]);
        if self.waiting.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.waiting));
        self.sender.blocking_send(Ok(chunk)).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn bytes(archive: &FolderArchive, offset: u64) -> io::Result<Vec<u8>> {
        let chunks: Vec<Bytes> = archive.clone().bytes(offset).try_collect().await?;
        Ok(chunks.concat())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let long = "a".repeat(150);
        for name in ["cat/1.png", "cat/2.png", "dog/1.png", &format!("dog/{long}.png")] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name.repeat(100)).unwrap();
        }
        fs::write(folder.path().join(".DS_Store"), "hidden").unwrap();
        fs::create_dir(folder.path().join("__MACOSX")).unwrap();
        fs::write(folder.path().join("__MACOSX/1.png"), "hidden").unwrap();
        folder
    }

    #[tokio::test]
    async fn a_folder_becomes_a_tar_file_of_the_announced_length() {
        let folder = folder();
        let archive = FolderArchive::list(folder.path()).unwrap();
        let all = bytes(&archive, 0).await.unwrap();
        assert_eq!(all.len() as u64, archive.length);
        let mut names = Vec::new();
        for entry in tar::Archive::new(all.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let name = entry.path().unwrap().display().to_string();
            assert_eq!(text, name.repeat(100));
            names.push(name);
        }
        let long = format!("dog/{}.png", "a".repeat(150));
        assert_eq!(names, ["cat/1.png", "cat/2.png", "dog/1.png", &long]);
    }

    #[tokio::test]
    async fn an_archive_resumes_at_any_byte() {
        let folder = folder();
        let archive = FolderArchive::list(folder.path()).unwrap();
        let all = bytes(&archive, 0).await.unwrap();
        for offset in [1, 511, 512, 700, archive.length - 1, archive.length] {
            let rest = bytes(&archive, offset).await.unwrap();
            assert_eq!(rest, all[usize::try_from(offset).unwrap()..], "{offset}");
        }
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let folder = folder();
        let archive = FolderArchive::list(folder.path()).unwrap();
        fs::write(folder.path().join("cat/2.png"), "short").unwrap();
        let error = bytes(&archive, 0).await.unwrap_err();
        assert!(error.to_string().contains("2.png became shorter"), "{error}");
    }
}
