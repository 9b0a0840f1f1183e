//! Audit logs: changing an exported log is detected, and any other text is handled without a panic.
#![no_main]

use fuzz::json::read;
use fuzz::seeds::write_seeds;
use libfuzzer_sys::fuzz_target;
use protocol::audit::{Chain, Entry, Record};

// Input: offset (2 bytes) and new value (1) of the changed byte, then records, one per line.
fuzz_target!(init: write_seeds(seeds()), |bytes: &[u8]| {
    let Some(([low, high, value], lines)) = bytes.split_first_chunk::<3>() else { return };
    let mut unchecked_chain = Chain::default();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(entry) = read::<Entry>(line) {
            drop(unchecked_chain.follow(&entry));
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
    assert_eq!(verify(&text).as_deref(), Some(&entries[..]), "an unchanged log is valid");
    if text.is_empty() {
        return;
    }
    let at = (usize::from(*low) | usize::from(*high) << 8) % text.len();
    text[at] = *value;
    if let Some(entries_found) = verify(&text) {
        assert_eq!(entries_found, entries, "a valid log has the entries that were written");
    }
});

/// Returns the entries of a log with a valid chain.
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
