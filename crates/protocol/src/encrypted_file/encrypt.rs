//! Encryption of a plain text that arrives in pieces.

use ring::aead::{Aad, LessSafeKey};

use super::format::{
    CHUNK, EncryptedFileError, HEADER, MARK, RANDOM, StorageKey, cipher, file_id, nonce,
};

/// Encrypts one file, or the rest of an interrupted one. Buffers bytes until they fill a frame.
pub struct Encryptor {
    cipher: Result<LessSafeKey, EncryptedFileError>,
    session: [u8; RANDOM],
    /// Index of the next frame.
    index: u64,
    /// Bytes that do not fill a frame yet: always fewer than [`CHUNK`].
    pending: Vec<u8>,
}

impl Encryptor {
    /// Starts a file and writes its header to `out`. `random_bytes` must never be used twice.
    pub fn begin(key: &StorageKey, random_bytes: [u8; 32], out: &mut Vec<u8>) -> Self {
        let (mut file, mut session) = ([0; RANDOM], [0; RANDOM]);
        file.copy_from_slice(&random_bytes[..RANDOM]);
        session.copy_from_slice(&random_bytes[RANDOM..]);
        out.extend_from_slice(MARK);
        out.extend_from_slice(&file);
        Self { cipher: cipher(key, &file, &session), session, index: 0, pending: Vec::new() }
    }

    /// Resumes a file after its first `frames` complete frames, none of which is the last. The
    /// caller truncates the file after them. `session` is random and never used twice.
    pub fn resume(
        key: &StorageKey,
        header: &[u8; HEADER],
        frames: u64,
        session: [u8; 16],
    ) -> Result<Self, EncryptedFileError> {
        let file = file_id(header)?;
        let cipher = cipher(key, &file, &session);
        Ok(Self { cipher, session, index: frames, pending: Vec::new() })
    }

    /// Encrypts the next bytes of the plain text. Complete frames are appended to `out`.
    pub fn push(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), EncryptedFileError> {
        if !self.pending.is_empty() {
            let (head, rest) = plain.split_at(plain.len().min(CHUNK - self.pending.len()));
            self.pending.extend_from_slice(head);
            plain = rest;
            if self.pending.len() == CHUNK {
                let mut pending = std::mem::take(&mut self.pending);
                self.frame(&pending, false, out)?;
                pending.clear();
                self.pending = pending;
            }
        }
        let (chunks, rest) = plain.as_chunks::<CHUNK>();
        for chunk in chunks {
            self.frame(chunk, false, out)?;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the plain text and appends its last frame to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncryptedFileError> {
        let pending = std::mem::take(&mut self.pending);
        self.frame(&pending, true, out)
    }

    fn frame(
        &mut self,
        plain: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), EncryptedFileError> {
        let cipher = self.cipher.as_ref().map_err(|error| *error)?;
        out.extend_from_slice(&self.session);
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = cipher
            .seal_in_place_separate_tag(nonce(self.index, last), Aad::empty(), &mut out[start..])
            .map_err(|_| EncryptedFileError::Cipher)?;
        out.extend_from_slice(tag.as_ref());
        self.index += 1;
        Ok(())
    }
}
