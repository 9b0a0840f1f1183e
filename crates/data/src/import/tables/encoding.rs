//! Encoding of text files: detection, and decoding while a file is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

const CHUNK: usize = 64 << 10;

/// Encoding of a file.
#[derive(Debug, Clone)]
pub(super) struct Detected {
    pub encoding: &'static Encoding,
    /// Whether the bytes leave a choice, so that a statistical detector decided.
    pub guessed: bool,
}

/// Returns the encoding with this name.
pub(super) fn named(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.trim().as_bytes()).ok_or_else(|| {
        format!(
            "there is no encoding `{name}`; use a name such as utf-8, utf-16le, windows-1252 or \
             shift_jis with --encoding"
        )
    })
}

/// Detects the encoding of a whole file.
pub(super) fn detect(path: &Path) -> Result<Detected, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mut start = Vec::new();
    file.by_ref().take(4096).read_to_end(&mut start).map_err(|error| error.to_string())?;
    let certain = |encoding| Detected { encoding, guessed: false };
    if let Some((encoding, _)) = Encoding::for_bom(&start) {
        return Ok(certain(encoding));
    }
    if let Some(encoding) = utf_16(&start) {
        return Ok(certain(encoding));
    }
    let mut scan = Utf8Scan::default();
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut source = start.chain(file);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = source.read(&mut buffer).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        scan.add(&buffer[..read]);
        if scan.invalid > 0 {
            detector.feed(&buffer[..read], false);
        }
    }
    // A few damaged characters among many correct ones leave a file UTF-8.
    if scan.invalid == 0 || scan.correct > scan.invalid {
        return Ok(certain(UTF_8));
    }
    detector.feed(b"", true);
    Ok(Detected { encoding: detector.guess(None, Utf8Detection::Deny), guessed: true })
}

/// Recognizes UTF-16 without a byte order mark: every other byte of Latin text is zero.
fn utf_16(start: &[u8]) -> Option<&'static Encoding> {
    let zeros = |from: usize| start.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let half = start.len() / 2;
    if half < 4 {
        None
    } else if odd * 2 > half && even * 20 < half {
        Some(UTF_16LE)
    } else if even * 2 > half && odd * 20 < half {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Counts characters beyond ASCII, correct and invalid, across chunks.
#[derive(Debug, Default)]
struct Utf8Scan {
    rest: Vec<u8>,
    correct: u64,
    invalid: u64,
}

impl Utf8Scan {
    fn add(&mut self, bytes: &[u8]) {
        let joined;
        let bytes = if self.rest.is_empty() {
            bytes
        } else {
            joined = [self.rest.as_slice(), bytes].concat();
            &joined
        };
        let mut rest = Vec::new();
        for chunk in bytes.utf8_chunks() {
            let valid = chunk.valid();
            if !valid.is_ascii() {
                self.correct +=
                    valid.chars().filter(|character| !character.is_ascii()).count() as u64;
            }
            if !chunk.invalid().is_empty() {
                self.invalid += 1;
                rest = chunk.invalid().to_vec();
            }
        }
        // An incomplete character at the end continues in the next chunk.
        self.rest = Vec::new();
        if !rest.is_empty() && bytes.ends_with(&rest) && incomplete(&rest) {
            self.invalid -= 1;
            self.rest = rest;
        }
    }
}

fn incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Opens a file as UTF-8, without a byte order mark.
pub(super) fn open(path: &Path, encoding: &'static Encoding) -> Result<Box<dyn BufRead>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut source = BufReader::with_capacity(CHUNK, file);
    let start = source.fill_buf().map_err(|error| error.to_string())?;
    let mark = Encoding::for_bom(start).map_or(0, |(_, length)| length);
    source.consume(mark);
    if encoding == UTF_8 {
        return Ok(Box::new(source));
    }
    let decoder = encoding.new_decoder_without_bom_handling();
    let transcoder = Transcoder { source, decoder, text: String::new(), at: 0, ended: false };
    Ok(Box::new(BufReader::with_capacity(CHUNK, transcoder)))
}

/// Source that decodes to UTF-8.
struct Transcoder {
    source: BufReader<File>,
    decoder: Decoder,
    text: String,
    at: usize,
    ended: bool,
}

impl Read for Transcoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() && !self.ended {
            (self.at, self.ended) = (0, false);
            self.text.clear();
            self.text.reserve(CHUNK);
            let bytes = self.source.fill_buf()?;
            let last = bytes.is_empty();
            let (result, read, _) = self.decoder.decode_to_string(bytes, &mut self.text, last);
            self.source.consume(read);
            self.ended = last && matches!(result, CoderResult::InputEmpty);
        }
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}
