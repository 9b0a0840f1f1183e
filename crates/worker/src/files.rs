//! Sealed files as the worker reads them, on threads where that holds up nobody.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use blake3::Hasher;
use protocol::BlobHash;
use protocol::encrypted_file::{CHUNK, DecryptingReader, StorageKey};

/// The hash of the text of a sealed file.
pub(crate) fn sealed_hash(path: &Path, key: &StorageKey) -> io::Result<BlobHash> {
    let mut reader = DecryptingReader::new(key, File::open(path)?)?;
    let (mut hasher, mut piece) = (Hasher::new(), vec![0; CHUNK]);
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&piece[..length]),
        };
    }
}

/// Whether the file itself is at fault, and not the disk.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Does on a thread of its own what waits for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
