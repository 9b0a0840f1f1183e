//! Decryption, frame by frame or as a reader.

use std::io::{self, Read, Seek, SeekFrom};

use ring::aead::{Aad, LessSafeKey};

use super::format::{
    CHUNK, EncryptedFileError, FRAME, HEADER, OVERHEAD, RANDOM, StorageKey, cipher, file_id, nonce,
};

/// Decrypts the frames of one file, in any order.
pub struct Decryptor {
    key: StorageKey,
    file: [u8; RANDOM],
    /// Cipher of the latest frame's session, with the session id.
    cipher: Option<([u8; RANDOM], LessSafeKey)>,
}

impl Decryptor {
    pub fn new(key: &StorageKey, header: &[u8; HEADER]) -> Result<Self, EncryptedFileError> {
        Ok(Self { key: key.clone(), file: file_id(header)?, cipher: None })
    }

    /// Decrypts frame `index`, counted from 0, in place and returns its plain text. A frame shorter
    /// than [`FRAME`] is the last one.
    pub fn open<'a>(
        &mut self,
        index: u64,
        frame: &'a mut [u8],
    ) -> Result<&'a [u8], EncryptedFileError> {
        let last = frame.len() < FRAME;
        if frame.len() < OVERHEAD {
            return Err(EncryptedFileError::Truncated);
        }
        let (session, ciphertext) =
            frame.split_first_chunk_mut::<RANDOM>().ok_or(EncryptedFileError::Truncated)?;
        let known = self.cipher.take().filter(|(id, _)| id == session);
        let (_, cipher) = self.cipher.insert(match known {
            Some(known) => known,
            None => (*session, cipher(&self.key, &self.file, session)?),
        });
        let damaged = EncryptedFileError::Damaged { at: HEADER as u64 + index * FRAME as u64 };
        let text = cipher.open_in_place(nonce(index, last), Aad::empty(), ciphertext);
        text.map(|text| &*text).map_err(|_| damaged)
    }
}

/// Reader of an encrypted file's plain text. A damaged file gives an error of kind `InvalidData` or
/// `UnexpectedEof`. All bytes returned before the error were verified.
pub struct DecryptingReader<R> {
    source: R,
    decryptor: Decryptor,
    /// Index of the next frame.
    index: u64,
    /// The latest frame. Its plain text from `at` to `end` has not been read yet.
    frame: Vec<u8>,
    at: usize,
    end: usize,
    ended: bool,
}

impl<R: Read> DecryptingReader<R> {
    /// Starts at the beginning of the plain text.
    pub fn new(key: &StorageKey, mut source: R) -> io::Result<Self> {
        let mut header = [0; HEADER];
        let length = fill(&mut source, &mut header)?;
        if length < HEADER {
            return Err(EncryptedFileError::InvalidHeader.into());
        }
        let decryptor = Decryptor::new(key, &header)?;
        let (frame, at, end) = (Vec::new(), 0, 0);
        Ok(Self { source, decryptor, index: 0, frame, at, end, ended: false })
    }

    /// Starts at byte `offset` of the plain text, without decrypting earlier frames.
    pub fn at(key: &StorageKey, source: R, offset: u64) -> io::Result<Self>
    where
        R: Seek,
    {
        let mut reader = Self::new(key, source)?;
        reader.index = offset / CHUNK as u64;
        reader.source.seek(SeekFrom::Start(HEADER as u64 + reader.index * FRAME as u64))?;
        reader.next_frame()?;
        let within = usize::try_from(offset % CHUNK as u64).unwrap_or(CHUNK);
        reader.at = reader.end.min(reader.at + within);
        Ok(reader)
    }

    fn next_frame(&mut self) -> io::Result<()> {
        self.frame.resize(FRAME, 0);
        let length = fill(&mut self.source, &mut self.frame)?;
        (self.at, self.end) = (0, 0);
        let text = self.decryptor.open(self.index, &mut self.frame[..length])?.len();
        (self.at, self.end) = (RANDOM, RANDOM + text);
        self.index += 1;
        self.ended = length < FRAME;
        Ok(())
    }
}

impl<R: Read> Read for DecryptingReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end && !self.ended {
            self.next_frame()?;
        }
        let length = into.len().min(self.end - self.at);
        into[..length].copy_from_slice(&self.frame[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

impl From<EncryptedFileError> for io::Error {
    fn from(error: EncryptedFileError) -> Self {
        let kind = match error {
            EncryptedFileError::Truncated => io::ErrorKind::UnexpectedEof,
            EncryptedFileError::InvalidHeader
            | EncryptedFileError::Damaged { .. }
            | EncryptedFileError::Cipher => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Reads until `into` is full or the source ends, and returns the number of bytes.
fn fill(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match source.read(&mut into[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
