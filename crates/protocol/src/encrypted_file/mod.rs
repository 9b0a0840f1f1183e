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
mod format;

pub use decrypt::{DecryptingReader, Decryptor};
pub use encrypt::Encryptor;
pub use format::{CHUNK, EncryptedFileError, FRAME, HEADER, StorageKey};

use format::{OVERHEAD, RANDOM};

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

#[cfg(test)]
mod tests;
