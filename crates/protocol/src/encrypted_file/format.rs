//! Parts of the file format that encryption and decryption share: sizes, the key and the cipher.

use std::fmt;

use ring::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Plain bytes in every frame but the last.
pub const CHUNK: usize = 64 << 10;
/// Bytes of a file before its first frame.
pub const HEADER: usize = MARK.len() + RANDOM;
/// Bytes of every frame but the last.
pub const FRAME: usize = CHUNK + OVERHEAD;

/// Magic bytes at the start of each file. The last two characters are the format version.
pub(super) const MARK: &[u8; 8] = b"CNSEAL01";
/// Bytes of a file id and of a session id.
pub(super) const RANDOM: usize = 16;
const TAG: usize = 16;
/// Bytes that a frame adds to its plain text.
pub(super) const OVERHEAD: usize = RANDOM + TAG;

/// Encryption key of stored files: 32 random bytes, as text 64 hexadecimal characters. Never
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageKey([u8; 32]);

/// Reason why a file cannot be decrypted or resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedFileError {
    #[error("not an encrypted file of this version")]
    InvalidHeader,
    #[error("the file is truncated")]
    Truncated,
    /// Also returned if the file was encrypted with another key.
    #[error("damaged at byte {at}, or encrypted with another key")]
    Damaged { at: u64 },
    #[error("the cipher failed")]
    Cipher,
}

impl StorageKey {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the raw key. Only for storing it in the keychain.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(…)")
    }
}

impl Serialize for StorageKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for StorageKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Neither error may repeat its input, which may be a key.
        let wrong = || de::Error::custom("expected a storage key of 64 hexadecimal characters");
        let text = String::deserialize(deserializer).map_err(|_| wrong())?;
        let bytes = blake3::Hash::from_hex(text).map_err(|_| wrong())?;
        Ok(Self(*bytes.as_bytes()))
    }
}

/// Returns the cipher of one session of one file.
pub(super) fn cipher(
    key: &StorageKey,
    file: &[u8; RANDOM],
    session: &[u8; RANDOM],
) -> Result<LessSafeKey, EncryptedFileError> {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(MARK).update(file).update(session);
    let key = UnboundKey::new(&AES_256_GCM, hasher.finalize().as_bytes());
    Ok(LessSafeKey::new(key.map_err(|_| EncryptedFileError::Cipher)?))
}

/// Layout: last frame or not (1) · zeros (3) · index (8, little-endian).
pub(super) fn nonce(index: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&index.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Returns the file id in a header.
pub(super) fn file_id(header: &[u8; HEADER]) -> Result<[u8; RANDOM], EncryptedFileError> {
    let file = header.strip_prefix(MARK).and_then(|file| file.try_into().ok());
    file.ok_or(EncryptedFileError::InvalidHeader)
}
