//! Sealed files: what was changed is refused, by every way of opening, and what was not is whole.
#![no_main]

use std::io::{Cursor, Read};

use fuzz::seeds::{chosen, plant};
use libfuzzer_sys::fuzz_target;
use protocol::encrypted_file::{
    CHUNK, FRAME, HEADER, Decryptor, DecryptingReader, StorageKey, open, plain_length, seal, encrypted_length,
};

const KEY: StorageKey = StorageKey::from_bytes([5; 32]);

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    if choice % 2 == 0 {
        opened(bytes);
    } else {
        changed(bytes);
    }
});

/// Opens what may be anything.
fn opened(bytes: &[u8]) -> Option<Vec<u8>> {
    let plain = open(&KEY, bytes.to_vec()).ok();
    let mut read = Vec::new();
    let reader =
        DecryptingReader::new(&KEY, bytes).and_then(|mut reader| reader.read_to_end(&mut read));
    assert_eq!(reader.is_ok().then_some(&read), plain.as_ref(), "both ways say the same");
    if let Some(header) = bytes.first_chunk::<HEADER>()
        && let Ok(mut opener) = Decryptor::new(&KEY, header)
    {
        let mut frame = bytes[HEADER..bytes.len().min(HEADER + FRAME)].to_vec();
        let first = opener.open(0, &mut frame).map(<[u8]>::len);
        assert!(first.is_ok_and(|length| length <= CHUNK) || plain.is_none());
    }
    if let Some(plain) = &plain {
        assert_eq!(plain_length(bytes.len() as u64), Some(plain.len() as u64));
        assert_eq!(encrypted_length(plain.len() as u64), bytes.len() as u64);
    }
    plain
}

/// Seals a text of a length that the input says, then changes the file as the input says: length (3), offset (3), how (1),
/// where (3), with (1), and the text.
fn changed(bytes: &[u8]) {
    let Some((said, text)) = bytes.split_first_chunk::<11>() else { return };
    let number = |at: usize| {
        usize::from(said[at]) | usize::from(said[at + 1]) << 8 | usize::from(said[at + 2]) << 16
    };
    let text = if text.is_empty() { &[0][..] } else { text };
    let plain: Vec<u8> = text.iter().copied().cycle().take(number(0) % 200_000).collect();
    let whole = seal(&KEY, &plain, [said[6]; 32]).expect("a text can be sealed");
    assert_eq!(opened(&whole).as_ref(), Some(&plain));
    let offset = number(3) % 250_000;
    let mut rest = Vec::new();
    DecryptingReader::at(&KEY, Cursor::new(&whole), offset as u64)
        .and_then(|mut reader| reader.read_to_end(&mut rest))
        .map_or_else(
            |_| assert!(offset > plain.len(), "there is text at {offset} of {}", plain.len()),
            |_| assert_eq!(rest, plain.get(offset..).unwrap_or_default()),
        );
    let at = number(7) % whole.len();
    let mut other = whole.clone();
    match said[6] % 4 {
        0 => other[at] ^= said[10],
        1 => other.truncate(at),
        2 => other.extend_from_slice(&whole[at..]),
        _ => drop(other.drain(at..whole.len().min(at + 1 + usize::from(said[10])))),
    }
    if other != whole {
        assert_eq!(opened(&other), None, "a changed file is refused");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let said = |length: [u8; 3], how: u8| {
        let [a, b, c] = length;
        chosen(1, [&[a, b, c, 9, 0, 0, how, 40, 0, 0, 1][..], b"some text"].concat())
    };
    let sealed = seal(&KEY, b"some text", [3; 32]).unwrap_or_default();
    vec![
        chosen(0, sealed),
        said([9, 0, 0], 0),
        said([0, 0, 1], 1),
        said([1, 0, 2], 2),
        said([0xff, 0xff, 0], 3),
    ]
}
