//! Encodings, with and without a byte order mark.

use super::case::{Case, ab, lines};

pub(crate) fn cases() -> Vec<Case> {
    let rows = lines(24, |n| format!("größer als Zeile {n}, übrigens;{}\n", ab(n)));
    let german = format!("text;label\n{rows}");
    let has = "größer als Zeile 3, übrigens";
    let utf_16 = |text: &str, big: bool| -> Vec<u8> {
        let units = text.encode_utf16();
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let latin = |text: &str| -> Vec<u8> {
        text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
    };
    let mark = |text: &str| format!("\u{feff}{text}");
    let mut cases = vec![
        Case::new("UTF-8", "x.csv", german.clone()).has(has),
        Case::new("UTF-8 with a mark", "x.csv", mark(&german)).has(has),
        Case::new("UTF-16LE of Excel", "x.csv", utf_16(&mark(&german), false)).has(has),
        Case::new("UTF-16BE", "x.csv", utf_16(&mark(&german), true)).has(has),
        Case::new("UTF-16LE without a mark", "x.csv", utf_16(&german, false)).has(has),
        Case::new("UTF-16BE without a mark", "x.csv", utf_16(&german, true)).has(has),
        Case::new("windows-1252", "x.csv", latin(&german)).has(has).warns("is not UTF-8"),
        Case::new("windows-1252 by option", "x.csv", latin(&german))
            .with(|options| options.encoding = Some("windows-1252".to_owned()))
            .has(has),
    ];
    let json = lines(24, |n| format!("{{\"text\":\"größer {n}\",\"label\":\"{}\"}}\n", ab(n)));
    cases.push(
        Case::new("JSON lines in UTF-16", "x.jsonl", utf_16(&mark(&json), false)).has("größer 3"),
    );
    // "да" and "нет" in windows-1251, with words around them.
    let russian =
        lines(24, |n| format!("это довольно длинный текст строки {n};{}\n", ["да", "нет"][n % 2]));
    let cyrillic: Vec<u8> = format!("text;label\n{russian}")
        .chars()
        .map(|character| match u32::from(character) {
            letter @ 0x410..=0x44f => u8::try_from(letter - 0x350).unwrap(),
            other => u8::try_from(other).unwrap(),
        })
        .collect();
    cases.push(
        Case::new("windows-1251", "x.csv", cyrillic)
            .classes(&["да", "нет"])
            .has("это довольно длинный текст строки 5")
            .warns("windows-1251"),
    );
    let mut damaged = german.replace("label\n", "label\nÄÖÜ, und größer;a\n").into_bytes();
    let at = damaged.windows(8).position(|bytes| bytes == b"Zeile 9,").unwrap();
    damaged[at] = 0xff;
    cases.push(Case::new("one damaged row in UTF-8", "x.csv", damaged).rows(24).bad(1));
    cases
}
