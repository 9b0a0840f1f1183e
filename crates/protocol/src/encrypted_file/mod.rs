//! Encrypted files: the format in which a device stores the company's rows and models. Without the
//! key nothing can be read, and truncated or altered files are detected.
//!
//! A file is a header, mark (8) · file id (16), followed by frames, session id (16) · ciphertext ·
//! tag (16). Each frame holds [`CHUNK`] plain bytes. The last frame holds fewer, possibly none, so
//! a truncated file is detected. File and session ids are random.
//!
//! The cipher is AES-256-GCM (NIST SP 800-38D). Its key belongs to one session: BLAKE3's keyed hash
//! of file id and session id. The nonce is the frame's index and a flag for the last frame. This is
//! the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015, §7): frames cannot
//! be dropped, repeated, reordered or copied from another file. Resuming an interrupted file starts
//! a new session, so no key encrypts two texts under one nonce, even when the torn end is
//! overwritten.

mod decrypt;
mod encrypt;

use std::fmt;

use ring::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use decrypt::{DecryptingReader, Decryptor};
pub use encrypt::Encryptor;

/// Plain bytes in every frame but the last.
pub const CHUNK: usize = 64 << 10;
/// Bytes of a file before its first frame.
pub const HEADER: usize = MARK.len() + RANDOM;
/// Bytes of every frame but the last.
pub const FRAME: usize = CHUNK + OVERHEAD;

/// Magic bytes at the start of each file. The last two characters are the format version.
const MARK: &[u8; 8] = b"CNSEAL01";
/// Bytes of a file id and of a session id.
const RANDOM: usize = 16;
const TAG: usize = 16;
/// Bytes that a frame adds to its plain text.
const OVERHEAD: usize = RANDOM + TAG;

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

/// Returns the length of the encrypted file for `plain` bytes of plain text.
pub const fn encrypted_length(plain: u64) -> u64 {
    HEADER as u64 + plain + (plain / CHUNK as u64 + 1) * OVERHEAD as u64
}

/// Returns the plain text's length in an encrypted file of `encrypted` bytes, or `None` if no complete
/// file has that length.
pub const fn plain_length(encrypted: u64) -> Option<u64> {
    let Some(frames) = encrypted.checked_sub(HEADER as u64) else { return None };
    let (whole, rest) = (frames / FRAME as u64, frames % FRAME as u64);
    match rest.checked_sub(OVERHEAD as u64) {
        Some(last) => Some(whole * CHUNK as u64 + last),
        None => None,
    }
}

/// Encrypts a plain text in memory. `random_bytes` must never be used twice.
pub fn seal(
    key: &StorageKey,
    plain: &[u8],
    random_bytes: [u8; 32],
) -> Result<Vec<u8>, EncryptedFileError> {
    let length = usize::try_from(encrypted_length(plain.len() as u64)).unwrap_or_default();
    let mut out = Vec::with_capacity(length);
    let mut encryptor = Encryptor::begin(key, random_bytes, &mut out);
    encryptor.push(plain, &mut out)?;
    encryptor.finish(&mut out)?;
    Ok(out)
}

/// Decrypts a file in memory, in place.
pub fn open(key: &StorageKey, mut encrypted: Vec<u8>) -> Result<Vec<u8>, EncryptedFileError> {
    let (header, frames) =
        encrypted.split_first_chunk_mut().ok_or(EncryptedFileError::InvalidHeader)?;
    let mut decryptor = Decryptor::new(key, header)?;
    let whole = frames.len() / FRAME;
    let mut plain = 0;
    for index in 0..=whole {
        let start = HEADER + index * FRAME;
        let end = encrypted.len().min(start + FRAME);
        let text = decryptor.open(index as u64, &mut encrypted[start..end])?;
        let (from, length) = (start + RANDOM, text.len());
        encrypted.copy_within(from..from + length, plain);
        plain += length;
    }
    encrypted.truncate(plain);
    Ok(encrypted)
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
fn cipher(
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
fn nonce(index: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&index.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests;
