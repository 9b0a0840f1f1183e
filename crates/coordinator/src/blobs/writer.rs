//! Writer for a blob whose hash is known only after its last byte.

use std::io::{self, BufWriter, Write};

use protocol::BlobHash;
use tempfile::NamedTempFile;

use super::folder::Blobs;
use crate::crash_points::CrashPoint;

impl Blobs {
    /// Returns a writer for a blob that is written in pieces.
    pub(crate) fn writer(&self) -> io::Result<BlobWriter> {
        BlobWriter::new(self.clone())
    }
}

/// A blob that is being written. If it is dropped before [`BlobWriter::finish`], nothing is stored.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    blobs: Blobs,
    file: BufWriter<NamedTempFile>,
    hasher: blake3::Hasher,
    /// Granted bytes of the disk quota that are not written yet.
    granted: u64,
}

/// Bytes of disk quota that are requested at a time.
const QUOTA_STEP: u64 = 1 << 20;

impl BlobWriter {
    fn new(blobs: Blobs) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 20, blobs.scratch()?);
        Ok(Self { blobs, file, hasher: blake3::Hasher::new(), granted: 0 })
    }

    /// Makes the bytes durable, names the blob by its hash and returns the hash.
    pub(crate) fn finish(self) -> io::Result<BlobHash> {
        let hash = BlobHash::from(self.hasher.finalize());
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        self.blobs.points.pass(CrashPoint::BlobWritten);
        file.as_file().sync_all()?;
        // Replacing an existing blob is safe: it has the same bytes.
        self.blobs.adopt(&file.into_temp_path().keep().map_err(|error| error.error)?, hash)?;
        Ok(hash)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wanted = bytes.len() as u64;
        if self.granted < wanted {
            self.blobs.check_quota(wanted)?;
            self.granted = wanted.max(QUOTA_STEP);
        }
        let written = self.file.write(bytes)?;
        self.granted -= written as u64;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
