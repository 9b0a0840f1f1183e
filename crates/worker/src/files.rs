//! Reading encrypted files, on threads that may block.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use blake3::Hasher;
use protocol::BlobHash;
use protocol::encrypted_file::{CHUNK, DecryptingReader, StorageKey};

/// Returns the hash of an encrypted file's plaintext.
pub(crate) fn plaintext_hash(path: &Path, key: &StorageKey) -> io::Result<BlobHash> {
    let mut reader = DecryptingReader::new(key, File::open(path)?)?;
    let (mut hasher, mut piece) = (Hasher::new(), vec![0; CHUNK]);
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&piece[..length]),
        };
    }
}

/// Whether the error means that the file's contents are damaged, rather than that the disk failed.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Runs blocking file I/O on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
