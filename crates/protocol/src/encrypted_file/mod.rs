//! Sealed files: what a device keeps of the company's rows and models, encrypted so that whoever
//! takes the disk without the key reads nothing and changes nothing unnoticed.
//!
//! A file is a header, mark (8) · file (16), and then frames, session (16) · ciphertext · tag (16).
//! Each frame holds [`CHUNK`] bytes, the last one fewer (none, where they came out even), so a file
//! that ends early is noticed. `file` and `session` are random.
//!
//! The cipher is AES-256-GCM (NIST SP 800-38D) under a key of the session alone, BLAKE3's keyed
//! hash of file and session, with the frame's number and whether it is the last as nonce: the
//! construction STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015, §7), in which frames
//! can't be left out, repeated, exchanged or brought in from another file. A file that is written on
//! after a break gets a new session, so no key ever meets two texts under one nonce, whatever is
//! written over the torn end.

mod decrypt;
mod encrypt;

use std::fmt;

use ring::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use decrypt::{DecryptingReader, Decryptor};
pub use encrypt::Encryptor;

/// Plain bytes of a frame that isn't the last.
pub const CHUNK: usize = 64 << 10;
/// Bytes of a file before its first frame.
pub const HEADER: usize = MARK.len() + RANDOM;
/// Bytes of a frame that isn't the last.
pub const FRAME: usize = CHUNK + OVERHEAD;

/// Begins each file; its last two characters are the format's version.
const MARK: &[u8; 8] = b"CNSEAL01";
/// Bytes that name a file, and a session.
const RANDOM: usize = 16;
const TAG: usize = 16;
/// Bytes of a frame that are not its text.
const OVERHEAD: usize = RANDOM + TAG;

/// What files are sealed with; 32 random bytes, as text 64 hexadecimal characters. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageKey([u8; 32]);

/// Why a file can't be opened, or be written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedFileError {
    #[error("it is not a sealed file of this version")]
    NotSealed,
    #[error("it ends in the middle")]
    Truncated,
    /// Also: another key sealed it.
    #[error("it was damaged from byte {at} on, or sealed with another key")]
    Damaged { at: u64 },
    #[error("the cipher can't be used")]
    Cipher,
}

/// The length of a sealed file.
pub const fn sealed_length(plain: u64) -> u64 {
    HEADER as u64 + plain + (plain / CHUNK as u64 + 1) * OVERHEAD as u64
}

/// The length of the text in a sealed file that is `sealed` bytes long; none where no whole one is.
pub const fn plain_length(sealed: u64) -> Option<u64> {
    let Some(frames) = sealed.checked_sub(HEADER as u64) else { return None };
    let (whole, rest) = (frames / FRAME as u64, frames % FRAME as u64);
    match rest.checked_sub(OVERHEAD as u64) {
        Some(last) => Some(whole * CHUNK as u64 + last),
        None => None,
    }
}

/// Seals a text that is whole in memory. `chance`: 32 random bytes, never used twice.
pub fn seal(
    key: &StorageKey,
    plain: &[u8],
    chance: [u8; 32],
) -> Result<Vec<u8>, EncryptedFileError> {
    let length = usize::try_from(sealed_length(plain.len() as u64)).unwrap_or_default();
    let mut out = Vec::with_capacity(length);
    let mut sealer = Encryptor::begin(key, chance, &mut out);
    sealer.push(plain, &mut out)?;
    sealer.finish(&mut out)?;
    Ok(out)
}

/// Opens a file that is whole in memory, in its own place.
pub fn open(key: &StorageKey, mut sealed: Vec<u8>) -> Result<Vec<u8>, EncryptedFileError> {
    let (header, frames) = sealed.split_first_chunk_mut().ok_or(EncryptedFileError::NotSealed)?;
    let mut opener = Decryptor::new(key, header)?;
    let whole = frames.len() / FRAME;
    let mut plain = 0;
    for index in 0..=whole {
        let start = HEADER + index * FRAME;
        let end = sealed.len().min(start + FRAME);
        let text = opener.open(index as u64, &mut sealed[start..end])?;
        let (from, length) = (start + RANDOM, text.len());
        sealed.copy_within(from..from + length, plain);
        plain += length;
    }
    sealed.truncate(plain);
    Ok(sealed)
}

impl StorageKey {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For where the key is kept, and nowhere else.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

impl Serialize for StorageKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for StorageKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Neither error may repeat what was read.
        let wrong = || de::Error::custom("expected a sealing key of 64 hexadecimal characters");
        let text = String::deserialize(deserializer).map_err(|_| wrong())?;
        let bytes = blake3::Hash::from_hex(text).map_err(|_| wrong())?;
        Ok(Self(*bytes.as_bytes()))
    }
}

/// The cipher of one session of one file.
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

/// Last or not (1) · zeros (3) · index (8, little-endian).
fn nonce(index: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(last);
    nonce[4..].copy_from_slice(&index.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests;
