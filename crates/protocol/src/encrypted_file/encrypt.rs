//! Sealing a text as it arrives.

use ring::aead::{Aad, LessSafeKey};

use super::{CHUNK, EncryptedFileError, HEADER, MARK, RANDOM, StorageKey, cipher, nonce};

/// Seals one file, or what is missing of one. It holds back what doesn't fill a frame yet.
pub struct Encryptor {
    cipher: Result<LessSafeKey, EncryptedFileError>,
    session: [u8; RANDOM],
    /// Of the next frame.
    index: u64,
    /// Always less than [`CHUNK`].
    pending: Vec<u8>,
}

impl Encryptor {
    /// Begins a file: its header goes to `out`. `chance`: random bytes, never used twice.
    pub fn begin(key: &StorageKey, chance: [u8; 32], out: &mut Vec<u8>) -> Self {
        let (mut file, mut session) = ([0; RANDOM], [0; RANDOM]);
        file.copy_from_slice(&chance[..RANDOM]);
        session.copy_from_slice(&chance[RANDOM..]);
        out.extend_from_slice(MARK);
        out.extend_from_slice(&file);
        Self { cipher: cipher(key, &file, &session), session, index: 0, pending: Vec::new() }
    }

    /// Goes on with a file whose first `frames` frames are there, whole and not the last; whatever
    /// follows them is to be cut off. `session`: random bytes, never used twice.
    pub fn resume(
        key: &StorageKey,
        header: &[u8; HEADER],
        frames: u64,
        session: [u8; 16],
    ) -> Result<Self, EncryptedFileError> {
        let file = super::decrypt::file(header)?;
        let cipher = cipher(key, &file, &session);
        Ok(Self { cipher, session, index: frames, pending: Vec::new() })
    }

    /// Takes the next bytes of the text; frames that are full go to `out`.
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

    /// The text is whole: its last frame goes to `out`.
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
