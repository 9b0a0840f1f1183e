//! A half download: the frames that arrived, sealed. What doesn't fill a frame is never written, so
//! a download that broke off loses at most [`CHUNK`] bytes.

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

/// What of a blob is in its part.
#[derive(Default)]
pub(super) struct Arrived {
    /// Over the text so far.
    pub(super) hasher: Hasher,
    /// The last frame is there.
    pub(super) whole: bool,
    pub(super) place: Place,
}

/// Where a part goes on.
#[derive(Default)]
pub(super) struct Place {
    header: [u8; HEADER],
    /// Those before the last one.
    frames: u64,
}

impl Part {
    pub(super) fn new(path: PathBuf, key: StorageKey) -> Self {
        Self { path, key }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens every frame that is there. A file that isn't there, can't be opened or is damaged from
    /// the beginning counts as nothing; what follows a damaged frame as well.
    pub(super) fn arrived(&self) -> io::Result<Arrived> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arrived::default()),
            Err(error) => return Err(error),
        };
        let mut arrived = Arrived::default();
        let mut frame = Vec::with_capacity(FRAME);
        file.by_ref().take(HEADER as u64).read_to_end(&mut frame)?;
        let Ok(header) = frame.as_slice().try_into() else { return Ok(arrived) };
        let Ok(mut opener) = Decryptor::new(&self.key, &header) else { return Ok(arrived) };
        arrived.place.header = header;
        while !arrived.whole {
            frame.clear();
            let length = file.by_ref().take(FRAME as u64).read_to_end(&mut frame)?;
            let Ok(text) = opener.open(arrived.place.frames, &mut frame) else { break };
            arrived.hasher.update(text);
            arrived.whole = length < FRAME;
            arrived.place.frames += u64::from(!arrived.whole);
        }
        Ok(arrived)
    }

    /// Begins it anew.
    pub(super) async fn begin(&self) -> io::Result<Writer> {
        let mut out = Vec::with_capacity(2 * FRAME);
        let sealer = Encryptor::begin(&self.key, rand::random(), &mut out);
        Writer::open(&self.path, sealer, out, 0).await
    }

    /// Goes on behind what arrived, which is not the whole.
    pub(super) async fn resume(&self, place: &Place) -> io::Result<Writer> {
        let Place { header, frames } = place;
        let sealer = Encryptor::resume(&self.key, header, *frames, rand::random())?;
        let start = HEADER as u64 + frames * FRAME as u64;
        Writer::open(&self.path, sealer, Vec::with_capacity(2 * FRAME), start).await
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Seals what arrives and appends it to the part.
pub(super) struct Writer {
    file: tokio::fs::File,
    sealer: Encryptor,
    /// Sealed and not written yet.
    out: Vec<u8>,
}

impl Writer {
    async fn open(path: &Path, sealer: Encryptor, out: Vec<u8>, start: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(path).await?;
        file.set_max_buf_size(CHUNK);
        file.set_len(start).await?;
        file.seek(SeekFrom::Start(start)).await?;
        Ok(Self { file, sealer, out })
    }

    pub(super) async fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        self.sealer.push(piece, &mut self.out)?;
        if !self.out.is_empty() {
            self.file.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// The blob is whole: writes its last frame.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.sealer.finish(&mut self.out)?;
        self.file.write_all(&self.out).await?;
        self.file.sync_all().await
    }

    /// What has arrived must be in the file before the next try reads it.
    pub(super) async fn keep(self) -> io::Result<()> {
        self.file.sync_all().await
    }
}
