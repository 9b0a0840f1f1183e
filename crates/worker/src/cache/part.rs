//! Partial download: the encrypted frames that have arrived. Only full frames are written, so an
//! interrupted download loses at most [`CHUNK`] bytes.

use std::fs::{self, File};
use std::io::{self, Read, SeekFrom};
use std::path::{Path, PathBuf};

use blake3::Hasher;
use protocol::encrypted_file::{CHUNK, Decryptor, Encryptor, FRAME, HEADER, StorageKey};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

#[derive(Clone)]
pub(super) struct Part {
    path: PathBuf,
    key: StorageKey,
}

/// Contents of a partial download.
#[derive(Default)]
pub(super) struct Received {
    /// Hash of the plaintext so far.
    pub(super) hasher: Hasher,
    /// Whether the last frame has arrived.
    pub(super) complete: bool,
    pub(super) position: Position,
}

/// Position at which a partial download continues.
#[derive(Default)]
pub(super) struct Position {
    header: [u8; HEADER],
    /// Number of full frames.
    frames: u64,
}

impl Part {
    pub(super) fn new(path: PathBuf, key: StorageKey) -> Self {
        Self { path, key }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Decrypts the frames that have arrived. A missing file, a wrong key and a damaged header count as
    /// nothing received; a damaged frame and everything after it are ignored.
    pub(super) fn received(&self) -> io::Result<Received> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Received::default()),
            Err(error) => return Err(error),
        };
        let mut received = Received::default();
        let mut frame = Vec::with_capacity(FRAME);
        file.by_ref().take(HEADER as u64).read_to_end(&mut frame)?;
        let Ok(header) = frame.as_slice().try_into() else { return Ok(received) };
        let Ok(mut decryptor) = Decryptor::new(&self.key, &header) else { return Ok(received) };
        received.position.header = header;
        while !received.complete {
            frame.clear();
            let length = file.by_ref().take(FRAME as u64).read_to_end(&mut frame)?;
            let Ok(text) = decryptor.open(received.position.frames, &mut frame) else { break };
            received.hasher.update(text);
            received.complete = length < FRAME;
            received.position.frames += u64::from(!received.complete);
        }
        Ok(received)
    }

    /// Starts a new download.
    pub(super) async fn begin(&self) -> io::Result<Writer> {
        let mut out = Vec::with_capacity(2 * FRAME);
        let encryptor = Encryptor::begin(&self.key, rand::random(), &mut out);
        Writer::open(&self.path, encryptor, out, 0).await
    }

    /// Continues an incomplete download.
    pub(super) async fn resume(&self, position: &Position) -> io::Result<Writer> {
        let Position { header, frames } = position;
        let encryptor = Encryptor::resume(&self.key, header, *frames, rand::random())?;
        let start = HEADER as u64 + frames * FRAME as u64;
        Writer::open(&self.path, encryptor, Vec::with_capacity(2 * FRAME), start).await
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Encrypts the bytes that arrive and appends them to the partial download.
pub(super) struct Writer {
    file: tokio::fs::File,
    encryptor: Encryptor,
    /// Encrypted bytes that are not written yet.
    out: Vec<u8>,
}

impl Writer {
    async fn open(path: &Path, encryptor: Encryptor, out: Vec<u8>, start: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(path).await?;
        file.set_max_buf_size(CHUNK);
        file.set_len(start).await?;
        file.seek(SeekFrom::Start(start)).await?;
        Ok(Self { file, encryptor, out })
    }

    pub(super) async fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        self.encryptor.push(piece, &mut self.out)?;
        if !self.out.is_empty() {
            self.file.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Writes the last frame of a complete blob.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.encryptor.finish(&mut self.out)?;
        self.file.write_all(&self.out).await?;
        self.file.sync_all().await
    }

    /// Flushes an incomplete download, because the next attempt reads it from the file.
    pub(super) async fn keep(self) -> io::Result<()> {
        self.file.sync_all().await
    }
}
