//! Hashed ids of words and word n-grams (Joulin et al. 2017, §2.2; Weinberger et al. 2009), without
//! a vocabulary. Models are trained on these ids, so they never change with the version, the
//! machine or newer Unicode tables.

/// Appends the ids of the first `max_words` lowercase words in order, then of their pairs, and so
/// on up to `ngrams`. Each id is in `1..buckets`. With fewer than two buckets there are none.
pub fn ids(text: &str, buckets: u32, ngrams: u32, max_words: u32, out: &mut Vec<u32>) {
    if buckets < 2 || ngrams == 0 {
        return;
    }
    if ngrams == 1 {
        visit_words(text, max_words, |hash| out.push(bucket(hash, buckets)));
        return;
    }
    // One allocation per text. Pairs need the words' full hashes, not their buckets.
    let mut hashes = Vec::with_capacity(text.len() / 5 + 1);
    visit_words(text, max_words, |hash| hashes.push(hash));
    out.extend(hashes.iter().map(|hash| bucket(*hash, buckets)));
    let mut grams = hashes.clone();
    for length in 2..=ngrams as usize {
        if grams.len() < 2 {
            return;
        }
        grams.pop();
        for (gram, next) in grams.iter_mut().zip(&hashes[length - 1..]) {
            *gram = mix(gram.rotate_left(23) ^ next.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        out.extend(grams.iter().map(|hash| bucket(*hash, buckets)));
    }
}

/// Calls `visit` with the 64-bit hash of each word: FNV-1a over its lowercase UTF-8, then mixed.
fn visit_words(text: &str, max_words: u32, mut visit: impl FnMut(u64)) {
    const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;
    if max_words == 0 {
        return;
    }
    let bytes = text.as_bytes();
    let (mut hash, mut in_word, mut count) = (EMPTY, false, 0);
    let mut at = 0;
    loop {
        // Fast path for ASCII letters and digits. It keeps one chain of operations per word, so
        // that consecutive words overlap in the pipeline.
        while let Some(lower @ 1..) = bytes.get(at).map(|byte| LOWER[usize::from(*byte)]) {
            hash = step(hash, lower);
            in_word = true;
            at += 1;
        }
        let Some(byte) = bytes.get(at).copied() else { break };
        let (size, place) = if byte < 0x80 {
            (1, punctuation(byte, in_word, bytes.get(at + 1).copied()))
        } else {
            let character = text[at..].chars().next().unwrap_or('\u{fffd}');
            (character.len_utf8(), beyond_ascii(character, in_word, bytes, at))
        };
        if place != Place::Inside && in_word {
            visit(mix(hash));
            (hash, in_word, count) = (EMPTY, false, count + 1);
            if count == max_words {
                return;
            }
        }
        if place != Place::Between {
            hash = step_character(hash, &text[at..at + size]);
            in_word = true;
        }
        if place == Place::Alone {
            visit(mix(hash));
            (hash, in_word, count) = (EMPTY, false, count + 1);
            if count == max_words {
                return;
            }
        }
        at += size;
    }
    if in_word {
        visit(mix(hash));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Between,
    Inside,
    /// A separate word, for scripts without spaces between words.
    Alone,
}

/// Lowercase form of each ASCII letter or digit, and 0 for all other bytes.
const LOWER: [u8; 256] = {
    let mut lower = [0; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        if byte.is_ascii_alphanumeric() {
            lower[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    lower
};

/// Classifies an ASCII byte that is neither letter nor digit.
fn punctuation(byte: u8, in_word: bool, next: Option<u8>) -> Place {
    let joins = byte == b'\'' && in_word && next.is_some_and(|next| next.is_ascii_alphanumeric());
    if joins { Place::Inside } else { Place::Between }
}

/// Classifies a character beyond ASCII. Uses fixed ranges instead of `char::is_alphanumeric`, whose
/// tables grow with each Unicode version.
fn beyond_ascii(character: char, in_word: bool, bytes: &[u8], at: usize) -> Place {
    match character {
        '\u{2019}' if in_word && bytes.get(at + 3).is_some_and(u8::is_ascii_alphanumeric) => {
            Place::Inside
        }
        '\u{80}'..='\u{a9}'
        | '\u{ab}'..='\u{b4}'
        | '\u{b6}'..='\u{b9}'
        | '\u{bb}'..='\u{bf}'
        | '×'
        | '÷'
        | '\u{2000}'..='\u{206f}'
        | '\u{20a0}'..='\u{20cf}'
        | '\u{2190}'..='\u{2bff}'
        | '\u{3000}'..='\u{303f}'
        | '\u{fe00}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff0f}'
        | '\u{ff1a}'..='\u{ff20}'
        | '\u{fff0}'..='\u{ffff}' => Place::Between,
        '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{1f000}'..='\u{1faff}'
        | '\u{20000}'..='\u{3ffff}' => Place::Alone,
        _ => Place::Inside,
    }
}

fn step_character(mut hash: u64, character: &str) -> u64 {
    // A curly apostrophe counts as a straight one.
    if character == "\u{2019}" {
        return step(hash, b'\'');
    }
    for lower in character.chars().flat_map(char::to_lowercase) {
        for byte in lower.encode_utf8(&mut [0; 4]).bytes() {
            hash = step(hash, byte);
        }
    }
    hash
}

/// FNV-1a, 64 bits.
fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Finalizer of `MurmurHash3`. FNV's high bits alone are distributed badly for short words.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Maps a hash to `1..buckets` by the high half of the product, without a division.
#[expect(clippy::cast_possible_truncation, reason = "the high half is below buckets − 1")]
fn bucket(hash: u64, buckets: u32) -> u32 {
    1 + ((u128::from(hash) * u128::from(buckets - 1)) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token_ids(text: &str, ngrams: u32) -> Vec<u32> {
        let mut out = Vec::new();
        ids(text, 1 << 20, ngrams, 100, &mut out);
        out
    }

    #[test]
    fn ids_are_stable() {
        assert_eq!(token_ids("The quick brown fox", 2), PINNED);
    }
    const PINNED: [u32; 7] = [832_511, 520_033, 992_010, 602_077, 217_615, 485_674, 537_234];

    #[test]
    fn case_and_punctuation_are_ignored() {
        assert_eq!(token_ids("Hello,  WORLD!", 2), token_ids("hello world", 2));
        assert_eq!(token_ids("ÉCOLE Straße", 1), token_ids("école straße", 1));
        assert_eq!(token_ids("don\u{2019}t", 1), token_ids("Don't", 1));
        assert_eq!(token_ids("'quoted'", 1), token_ids("quoted", 1));
        assert_eq!(token_ids("a—b “c”", 1).len(), 3);
    }

    #[test]
    fn scripts_without_spaces_have_one_word_per_character() {
        assert_eq!(token_ids("東京 tower", 1).len(), 3);
        assert_eq!(token_ids("tower東", 1)[0], token_ids("tower", 1)[0]);
    }

    #[test]
    fn words_are_followed_by_pairs_and_triples() {
        let (one, three) = (token_ids("a b c d", 1), token_ids("a b c d", 3));
        assert_eq!(one.len(), 4);
        assert_eq!(three[..4], one);
        assert_eq!(three.len(), 4 + 3 + 2);
        assert_eq!(token_ids("b c", 2)[2], three[5], "a pair has the same id anywhere");
        assert_ne!(token_ids("c b", 2)[2], three[5], "its order matters");
    }

    #[test]
    fn words_beyond_the_limit_are_dropped() {
        let mut out = vec![7];
        ids("a b c d e", 100, 2, 3, &mut out);
        assert_eq!(out.len(), 1 + 3 + 2);
        for (buckets, ngrams, max_words) in [(0, 1, 9), (1, 1, 9), (9, 0, 9), (9, 2, 0)] {
            out.clear();
            ids("a b c", buckets, ngrams, max_words, &mut out);
            assert!(out.is_empty());
        }
    }

    proptest! {
        #[test]
        fn every_id_is_in_range(
            text in "\\PC{0,60}",
            buckets in 2_u32..,
            ngrams in 1_u32..5,
            max_words in 0_u32..20,
        ) {
            let mut out = Vec::new();
            ids(&text, buckets, ngrams, max_words, &mut out);
            prop_assert!(out.iter().all(|id| (1..buckets).contains(id)));
            let mut again = Vec::new();
            ids(&text, buckets, 1, max_words, &mut again);
            prop_assert!(again.len() <= max_words as usize);
            prop_assert_eq!(&out[..again.len()], &again[..]);
        }
    }
}
