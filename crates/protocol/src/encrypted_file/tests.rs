//! Round trips of plain text, and rejection of every altered file.

use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::format::MARK;
use super::*;

const KEY: StorageKey = StorageKey::from_bytes([7; 32]);
/// Lengths around the borders of frames.
const LENGTHS: [usize; 7] = [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5];

#[test]
fn a_text_round_trips_and_its_length_follows_from_the_file_length() {
    for length in LENGTHS {
        let plain = text(length);
        let encrypted = seal(&KEY, &plain, [1; 32]).unwrap();
        assert_eq!(encrypted.len() as u64, encrypted_length(length as u64));
        assert_eq!(plain_length(encrypted.len() as u64), Some(length as u64));
        assert_eq!(read(&encrypted).unwrap(), plain);
        assert_eq!(open(&KEY, encrypted).unwrap(), plain);
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_is_detected() {
    let encrypted = seal(&KEY, &text(CHUNK + 40), [1; 32]).unwrap();
    let borders = [0, HEADER, HEADER + FRAME];
    let near = |at: &usize| borders.iter().any(|border| at.abs_diff(*border) < 90);
    for at in (0..encrypted.len()).filter(|at| near(at) || at % 997 == 0) {
        let mut broken = encrypted.clone();
        broken[at] ^= 1 << (at % 8);
        let error = open(&KEY, broken.clone()).unwrap_err();
        assert_eq!(
            error == EncryptedFileError::InvalidHeader,
            at < MARK.len(),
            "a flipped bit in byte {at}"
        );
        assert!(read(&broken).is_err(), "a flipped bit in byte {at}");
        assert!(open(&KEY, encrypted[..at].to_vec()).is_err(), "cut to {at} bytes");
        assert!(read(&encrypted[..at]).is_err(), "cut to {at} bytes");
    }
    let longer: Vec<u8> = encrypted.iter().copied().chain([0]).collect();
    assert!(open(&KEY, longer).is_err());
}

#[test]
fn frames_cannot_be_dropped_repeated_reordered_or_copied_in() {
    let (one, two) = (text(2 * CHUNK + 9), vec![0; 2 * CHUNK + 9]);
    let encrypted = seal(&KEY, &one, [1; 32]).unwrap();
    let mut other_bytes = [1; 32];
    other_bytes[0] = 2;
    let other = seal(&KEY, &two, other_bytes).unwrap();
    let frame = |file: &[u8], index: usize| {
        let start = HEADER + index * FRAME;
        file[start..file.len().min(start + FRAME)].to_vec()
    };
    let build = |frames: &[Vec<u8>]| [&encrypted[..HEADER], &frames.concat()].concat();
    let frames = [frame(&encrypted, 0), frame(&encrypted, 1), frame(&encrypted, 2)];
    assert_eq!(open(&KEY, build(&frames)).unwrap(), one);
    let [a, b, c] = frames;
    for forged in [
        vec![a.clone(), c.clone()],
        vec![b.clone(), a.clone(), c.clone()],
        vec![a.clone(), a.clone(), c.clone()],
        vec![a.clone(), b.clone()],
        vec![a.clone(), frame(&other, 1), c.clone()],
        vec![a.clone(), b.clone(), c.clone(), c.clone()],
    ] {
        assert!(open(&KEY, build(&forged)).is_err());
    }
}

#[test]
fn another_key_decrypts_nothing() {
    let encrypted = seal(&KEY, &text(10), [1; 32]).unwrap();
    let error = open(&StorageKey::from_bytes([8; 32]), encrypted).unwrap_err();
    assert_eq!(error, EncryptedFileError::Damaged { at: 24 });
}

#[test]
fn a_file_resumes_after_an_interruption_under_a_new_session() {
    let plain = text(3 * CHUNK + 100);
    let mut file = Vec::new();
    let mut encryptor = Encryptor::begin(&KEY, [1; 32], &mut file);
    encryptor.push(&plain[..CHUNK + 500], &mut file).unwrap();
    assert_eq!(file.len(), HEADER + FRAME, "bytes that do not fill a frame are buffered");
    let header = *file.first_chunk().unwrap();
    let mut encryptor = Encryptor::resume(&KEY, &header, 1, [2; 16]).unwrap();
    encryptor.push(&plain[CHUNK..], &mut file).unwrap();
    encryptor.finish(&mut file).unwrap();
    assert_eq!(open(&KEY, file.clone()).unwrap(), plain);
    let sessions = [&file[HEADER..HEADER + 16], &file[HEADER + FRAME..HEADER + FRAME + 16]];
    assert_ne!(sessions[0], sessions[1]);
}

#[test]
fn encrypting_the_same_text_twice_gives_different_bytes() {
    let [one, two] =
        [[1; 32], [2; 32]].map(|random_bytes| seal(&KEY, &text(64), random_bytes).unwrap());
    assert_ne!(one[HEADER..], two[HEADER..]);
    assert!(!one.windows(16).any(|window| text(64).windows(16).any(|plain| plain == window)));
}

#[test]
fn a_key_serializes_as_text_and_is_never_printed() {
    let text = serde_json::to_string(&KEY).unwrap();
    assert_eq!(text, format!("\"{}\"", "07".repeat(32)));
    assert_eq!(serde_json::from_str::<StorageKey>(&text).unwrap(), KEY);
    assert_eq!(format!("{KEY:?}"), "StorageKey(…)");
    for wrong in ["\"topsecret\"", "123456", "[\"topsecret\"]"] {
        let error = serde_json::from_str::<StorageKey>(wrong).unwrap_err().to_string();
        assert!(!error.contains("topsecret") && !error.contains("123456"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_text_is_encrypted_in_any_pieces_and_read_from_any_offset(
        length in prop_oneof![0..300_usize, CHUNK - 2..CHUNK + 3, 2 * CHUNK - 1..2 * CHUNK + 2],
        pieces in proptest::collection::vec(1..100_000_usize, 1..6),
        place in 0.0..=1.0_f64,
    ) {
        let plain = text(length);
        let mut file = Vec::new();
        let mut encryptor = Encryptor::begin(&KEY, [3; 32], &mut file);
        let mut rest = plain.as_slice();
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            encryptor.push(now, &mut file).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        encryptor.finish(&mut file).unwrap();
        prop_assert_eq!(&file, &seal(&KEY, &plain, [3; 32]).unwrap());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within length")]
        let offset = (length as f64 * place) as usize;
        let mut back = Vec::new();
        let mut reader = DecryptingReader::at(&KEY, Cursor::new(&file), offset as u64).unwrap();
        reader.read_to_end(&mut back).unwrap();
        prop_assert_eq!(back.as_slice(), &plain[offset..]);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let marked = [MARK.as_slice(), &bytes].concat();
        prop_assert!(open(&KEY, bytes).is_err());
        prop_assert!(open(&KEY, marked).is_err());
    }
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn read(encrypted: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    DecryptingReader::new(&KEY, encrypted)?.read_to_end(&mut plain)?;
    Ok(plain)
}
