//! Audit logs: an exported log that was changed anywhere no longer holds, and any other text is an answer.
#![no_main]

use fuzz::json::read;
use fuzz::seeds::plant;
use libfuzzer_sys::fuzz_target;
use protocol::audit::{Chain, Entry, Record};

// An input is the place (2) and the new value (1) of a changed byte, then records, one a line.
fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let Some(([low, high, with], lines)) = bytes.split_first_chunk::<3>() else { return };
    let mut any = Chain::default();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(entry) = read::<Entry>(line) {
            drop(any.follow(&entry));
        }
    }
    let mut chain = Chain::default();
    let records = lines.split(|byte| *byte == b'\n').filter_map(read::<Record>);
    let entries: Vec<Entry> = records.map(|record| chain.append(record)).collect();
    let mut text = entries.iter().fold(Vec::new(), |mut text, entry| {
        text.extend(serde_json::to_vec(entry).expect("an entry can be written"));
        text.push(b'\n');
        text
    });
    assert_eq!(verify(&text).as_deref(), Some(&entries[..]), "a log holds");
    if text.is_empty() {
        return;
    }
    let at = (usize::from(*low) | usize::from(*high) << 8) % text.len();
    text[at] = *with;
    if let Some(found) = verify(&text) {
        assert_eq!(found, entries, "a log that holds says what was written");
    }
});

/// The entries of a log whose chain holds.
fn verify(text: &[u8]) -> Option<Vec<Entry>> {
    let mut chain = Chain::default();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let entry: Entry = serde_json::from_slice(line).ok()?;
            chain.follow(&entry).ok()?;
            Some(entry)
        })
        .collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let records = [
        r#"{"at":"2026-11-23T09:00:00.123Z","who":"Ana","role":"admin","from":"192.0.2.7","action":"created","subject":{"kind":"job","id":"1"},"detail":{"name":"ag-news"}}"#,
        r#"{"at":"1969-12-31T23:59:59.999Z","who":"coordinator","role":null,"from":null,"action":"started","subject":{"kind":"coordinator","id":""},"detail":{}}"#,
        r#"{"at":"2026-11-23T09:00:01Z","who":"","role":null,"from":"::1","action":"refused","subject":{"kind":"credential","id":"token"},"detail":{"unwritten":"60","é":"\"\n"}}"#,
    ]
    .join("\n");
    let mut chain = Chain::default();
    let entries = records
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(|record| chain.append(record));
    let log: Vec<String> = entries.filter_map(|entry| serde_json::to_string(&entry).ok()).collect();
    [records, log.join("\n")].map(|text| [&[200, 1, b'x'], text.as_bytes()].concat()).into()
}
