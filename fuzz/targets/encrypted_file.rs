//! Encrypted files: every way of reading rejects a changed file, and returns an unchanged file
//! completely.
#![no_main]

use std::io::{Cursor, Read};

use fuzz::seeds::{with_choice, write_seeds};
use libfuzzer_sys::fuzz_target;
use protocol::encrypted_file::{
    CHUNK, DecryptingReader, Decryptor, FRAME, HEADER, StorageKey, encrypted_length, open,
    plain_length, seal,
};

const KEY: StorageKey = StorageKey::from_bytes([5; 32]);

fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    if choice % 2 == 0 {
        decrypt(bytes);
    } else {
        decrypt_changed(bytes);
    }
});

/// Decrypts arbitrary bytes in several ways and compares the results.
fn decrypt(bytes: &[u8]) -> Option<Vec<u8>> {
    let plain = open(&KEY, bytes.to_vec()).ok();
    let mut read = Vec::new();
    let reader =
        DecryptingReader::new(&KEY, bytes).and_then(|mut reader| reader.read_to_end(&mut read));
    assert_eq!(reader.is_ok().then_some(&read), plain.as_ref(), "both readers agree");
    if let Some(header) = bytes.first_chunk::<HEADER>()
        && let Ok(mut decryptor) = Decryptor::new(&KEY, header)
    {
        let mut frame = bytes[HEADER..bytes.len().min(HEADER + FRAME)].to_vec();
        let first = decryptor.open(0, &mut frame).map(<[u8]>::len);
        assert!(first.is_ok_and(|length| length <= CHUNK) || plain.is_none());
    }
    if let Some(plain) = &plain {
        assert_eq!(plain_length(bytes.len() as u64), Some(plain.len() as u64));
        assert_eq!(encrypted_length(plain.len() as u64), bytes.len() as u64);
    }
    plain
}

/// Encrypts a text and changes the file. The input has the text's length (3 bytes), a read offset
/// (3), the kind of change (1), its position (3), a value (1), and the text.
fn decrypt_changed(bytes: &[u8]) {
    let Some((parameters, text)) = bytes.split_first_chunk::<11>() else { return };
    let number = |at: usize| {
        usize::from(parameters[at])
            | usize::from(parameters[at + 1]) << 8
            | usize::from(parameters[at + 2]) << 16
    };
    let text = if text.is_empty() { &[0][..] } else { text };
    let plain: Vec<u8> = text.iter().copied().cycle().take(number(0) % 200_000).collect();
    let whole = seal(&KEY, &plain, [parameters[6]; 32]).expect("a text can be encrypted");
    assert_eq!(decrypt(&whole).as_ref(), Some(&plain));
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
    match parameters[6] % 4 {
        0 => other[at] ^= parameters[10],
        1 => other.truncate(at),
        2 => other.extend_from_slice(&whole[at..]),
        _ => drop(other.drain(at..whole.len().min(at + 1 + usize::from(parameters[10])))),
    }
    if other != whole {
        assert_eq!(decrypt(&other), None, "a changed file is rejected");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let seed = |length: [u8; 3], how: u8| {
        let [a, b, c] = length;
        with_choice(1, [&[a, b, c, 9, 0, 0, how, 40, 0, 0, 1][..], b"some text"].concat())
    };
    let encrypted = seal(&KEY, b"some text", [3; 32]).unwrap_or_default();
    vec![
        with_choice(0, encrypted),
        seed([9, 0, 0], 0),
        seed([0, 0, 1], 1),
        seed([1, 0, 2], 2),
        seed([0xff, 0xff, 0], 3),
    ]
}
