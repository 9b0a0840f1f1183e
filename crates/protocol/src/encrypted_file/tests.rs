//! Texts go through unchanged; anything else about a file is refused.

use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::*;

const KEY: StorageKey = StorageKey::from_bytes([7; 32]);
/// Around the borders of frames.
const LENGTHS: [usize; 7] = [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5];

#[test]
fn a_text_comes_back_and_its_length_is_told_by_the_file_s() {
    for length in LENGTHS {
        let plain = text(length);
        let sealed = seal(&KEY, &plain, [1; 32]).unwrap();
        assert_eq!(sealed.len() as u64, sealed_length(length as u64));
        assert_eq!(plain_length(sealed.len() as u64), Some(length as u64));
        assert_eq!(read(&sealed).unwrap(), plain);
        assert_eq!(open(&KEY, sealed).unwrap(), plain);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let sealed = seal(&KEY, &text(CHUNK + 40), [1; 32]).unwrap();
    let borders = [0, HEADER, HEADER + FRAME];
    let near = |at: &usize| borders.iter().any(|border| at.abs_diff(*border) < 90);
    for at in (0..sealed.len()).filter(|at| near(at) || at % 997 == 0) {
        let mut broken = sealed.clone();
        broken[at] ^= 1 << (at % 8);
        let error = open(&KEY, broken.clone()).unwrap_err();
        assert_eq!(
            error == EncryptedFileError::NotSealed,
            at < MARK.len(),
            "a flipped bit in byte {at}"
        );
        assert!(read(&broken).is_err(), "a flipped bit in byte {at}");
        assert!(open(&KEY, sealed[..at].to_vec()).is_err(), "cut to {at} bytes");
        assert!(read(&sealed[..at]).is_err(), "cut to {at} bytes");
    }
    let longer: Vec<u8> = sealed.iter().copied().chain([0]).collect();
    assert!(open(&KEY, longer).is_err());
}

#[test]
fn frames_can_t_be_left_out_repeated_exchanged_or_brought_in() {
    let (one, two) = (text(2 * CHUNK + 9), vec![0; 2 * CHUNK + 9]);
    let sealed = seal(&KEY, &one, [1; 32]).unwrap();
    let mut other_chance = [1; 32];
    other_chance[0] = 2;
    let other = seal(&KEY, &two, other_chance).unwrap();
    let of = |file: &[u8], index: usize| {
        let start = HEADER + index * FRAME;
        file[start..file.len().min(start + FRAME)].to_vec()
    };
    let build = |frames: &[Vec<u8>]| [&sealed[..HEADER], &frames.concat()].concat();
    let frames = [of(&sealed, 0), of(&sealed, 1), of(&sealed, 2)];
    assert_eq!(open(&KEY, build(&frames)).unwrap(), one);
    let [a, b, c] = frames;
    for forged in [
        vec![a.clone(), c.clone()],
        vec![b.clone(), a.clone(), c.clone()],
        vec![a.clone(), a.clone(), c.clone()],
        vec![a.clone(), b.clone()],
        vec![a.clone(), of(&other, 1), c.clone()],
        vec![a.clone(), b.clone(), c.clone(), c.clone()],
    ] {
        assert!(open(&KEY, build(&forged)).is_err());
    }
}

#[test]
fn another_key_opens_nothing() {
    let sealed = seal(&KEY, &text(10), [1; 32]).unwrap();
    let error = open(&StorageKey::from_bytes([8; 32]), sealed).unwrap_err();
    assert_eq!(error, EncryptedFileError::Damaged { at: 24 });
}

#[test]
fn a_file_goes_on_after_a_break_under_a_new_session() {
    let plain = text(3 * CHUNK + 100);
    let mut file = Vec::new();
    let mut sealer = Encryptor::begin(&KEY, [1; 32], &mut file);
    sealer.push(&plain[..CHUNK + 500], &mut file).unwrap();
    assert_eq!(file.len(), HEADER + FRAME, "what doesn't fill a frame is held back");
    let header = *file.first_chunk().unwrap();
    let mut sealer = Encryptor::resume(&KEY, &header, 1, [2; 16]).unwrap();
    sealer.push(&plain[CHUNK..], &mut file).unwrap();
    sealer.finish(&mut file).unwrap();
    assert_eq!(open(&KEY, file.clone()).unwrap(), plain);
    let sessions = [&file[HEADER..HEADER + 16], &file[HEADER + FRAME..HEADER + FRAME + 16]];
    assert_ne!(sessions[0], sessions[1]);
}

#[test]
fn the_same_text_twice_looks_different() {
    let [one, two] = [[1; 32], [2; 32]].map(|chance| seal(&KEY, &text(64), chance).unwrap());
    assert_ne!(one[HEADER..], two[HEADER..]);
    assert!(!one.windows(16).any(|window| text(64).windows(16).any(|plain| plain == window)));
}

#[test]
fn a_key_travels_as_text_and_is_never_shown() {
    let text = serde_json::to_string(&KEY).unwrap();
    assert_eq!(text, format!("\"{}\"", "07".repeat(32)));
    assert_eq!(serde_json::from_str::<StorageKey>(&text).unwrap(), KEY);
    assert_eq!(format!("{KEY:?}"), "SealingKey(…)");
    for wrong in ["\"topsecret\"", "123456", "[\"topsecret\"]"] {
        let error = serde_json::from_str::<StorageKey>(wrong).unwrap_err().to_string();
        assert!(!error.contains("topsecret") && !error.contains("123456"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_text_is_sealed_in_any_pieces_and_read_from_any_place(
        length in prop_oneof![0..300_usize, CHUNK - 2..CHUNK + 3, 2 * CHUNK - 1..2 * CHUNK + 2],
        pieces in proptest::collection::vec(1..100_000_usize, 1..6),
        place in 0.0..=1.0_f64,
    ) {
        let plain = text(length);
        let mut file = Vec::new();
        let mut sealer = Encryptor::begin(&KEY, [3; 32], &mut file);
        let mut rest = plain.as_slice();
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            sealer.push(now, &mut file).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        sealer.finish(&mut file).unwrap();
        prop_assert_eq!(&file, &seal(&KEY, &plain, [3; 32]).unwrap());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within length")]
        let offset = (length as f64 * place) as usize;
        let mut back = Vec::new();
        let mut reader = DecryptingReader::at(&KEY, Cursor::new(&file), offset as u64).unwrap();
        reader.read_to_end(&mut back).unwrap();
        prop_assert_eq!(back.as_slice(), &plain[offset..]);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let marked = [MARK.as_slice(), &bytes].concat();
        prop_assert!(open(&KEY, bytes).is_err());
        prop_assert!(open(&KEY, marked).is_err());
    }
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn read(sealed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    DecryptingReader::new(&KEY, sealed)?.read_to_end(&mut plain)?;
    Ok(plain)
}
