//! Tamper detection by the hash chain.

use proptest::prelude::*;
use utoipa::PartialSchema;

use super::*;

fn record(who: &str, id: &str) -> Record {
    Record {
        at: Timestamp::from_millis(1_763_888_400_123),
        who: who.to_owned(),
        role: Some(Role::Admin),
        from: Some("192.0.2.7".to_owned()),
        action: Action::Created,
        subject: Subject { kind: SubjectKind::Job, id: id.to_owned() },
        detail: BTreeMap::from([("name".to_owned(), "ag-news".to_owned())]),
    }
}

fn log(length: usize) -> Vec<Entry> {
    let mut chain = Chain::default();
    (0..length).map(|n| chain.append(record("Ana", &n.to_string()))).collect()
}

/// Follows a log to its end or to its first break.
fn follow(entries: &[Entry]) -> Result<Chain, Break> {
    let mut chain = Chain::default();
    entries.iter().try_for_each(|entry| chain.follow(entry))?;
    Ok(chain)
}

/// The hash is part of the format: changing it makes every exported log unverifiable.
#[test]
fn the_hash_of_a_known_entry_is_stable() {
    let entry = &log(1)[0];
    let expected = "e72fb66a3c4ff5453cfd383ec0d1e058a27ba1e913b4cfae8a19fc0172553ebf";
    assert_eq!(entry.hash.to_string(), expected);
}

#[test]
fn an_entry_survives_json() {
    let entry = log(3).remove(2);
    let json = serde_json::to_string(&entry).unwrap();
    let read: Entry = serde_json::from_str(&json).unwrap();
    assert_eq!(read, entry);
    assert_eq!(read.hash, read.expected_hash());
}

/// Found by `make api-test`: the schema promised `Created`, but responses contain `created`.
#[test]
fn the_schema_has_the_names_of_json() {
    let names = |schema| serde_json::to_value(&schema).unwrap()["enum"].clone();
    assert_eq!(names(Action::schema()), json(Action::ALL));
    assert_eq!(names(SubjectKind::schema()), json(SubjectKind::ALL));
}

fn json(values: &[impl Serialize]) -> serde_json::Value {
    serde_json::to_value(values).unwrap()
}

#[test]
fn an_intact_log_leads_to_its_head() {
    let entries = log(5);
    let chain = follow(&entries).unwrap();
    assert_eq!(chain.number, 5);
    assert!(chain.is_at(entries[4].hash) && !chain.is_at(entries[3].hash));
}

#[test]
fn removed_inserted_and_moved_entries_are_detected() {
    let mut missing = log(5);
    missing.remove(2);
    assert_eq!(follow(&missing), Err(Break::Gap { expected: 3, found: 4 }));
    let mut twice = log(5);
    twice.insert(2, twice[1].clone());
    assert_eq!(follow(&twice), Err(Break::Gap { expected: 3, found: 2 }));
    let mut swapped = log(5);
    swapped.swap(1, 2);
    assert_eq!(follow(&swapped), Err(Break::Gap { expected: 2, found: 3 }));
}

#[test]
fn recomputing_an_entry_s_hash_breaks_the_next_entry() {
    let mut entries = log(5);
    entries[1].record.who = "Bob".to_owned();
    entries[1].hash = entries[1].expected_hash();
    assert_eq!(follow(&entries), Err(Break::Unlinked { number: 3 }));
}

#[test]
fn the_border_between_two_texts_is_hashed() {
    let mut chain = Chain::default();
    let hashes: Vec<AuditHash> = [("ab", "c"), ("a", "bc")]
        .map(|(who, from)| Record { from: Some(from.to_owned()), ..record(who, "1") })
        .into_iter()
        .chain([
            Record { from: None, ..record("ab", "1") },
            Record { from: Some(String::new()), ..record("ab", "1") },
        ])
        .map(|record| chain.clone().append(record).hash)
        .collect();
    chain.append(record("x", "y"));
    for (n, hash) in hashes.iter().enumerate() {
        assert!(!hashes[n + 1..].contains(hash), "{n}");
    }
}

#[test]
fn names_are_parsed_as_they_are_written() {
    for action in Action::ALL {
        assert_eq!(action.word().parse(), Ok(*action));
        assert_eq!(serde_json::to_value(action).unwrap(), action.word());
    }
    for kind in SubjectKind::ALL {
        assert_eq!(kind.word().parse(), Ok(*kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
    }
    assert!("made".parse::<Action>().is_err());
}

/// Changes one field of an entry.
fn change(entry: &mut Entry, field: usize, text: String) {
    let record = &mut entry.record;
    match field {
        0 => record.at = record.at.after(std::time::Duration::from_millis(1)),
        1 => record.who.push('x'),
        2 => record.role = Some(Role::Viewer),
        3 => record.role = None,
        4 => record.from = None,
        5 => record.action = Action::Cancelled,
        6 => record.subject.kind = SubjectKind::Model,
        7 => record.subject.id.push('x'),
        8 => drop(record.detail.insert("name".to_owned(), text + "!")),
        _ => drop(record.detail.insert(text + "?", String::new())),
    }
}

proptest! {
    #[test]
    fn every_change_of_an_entry_is_detected(
        length in 1_usize..20, at in any::<prop::sample::Index>(), field in 0_usize..10, text in ".{0,8}",
    ) {
        let mut entries = log(length);
        let changed = at.index(length);
        change(&mut entries[changed], field, text);
        prop_assert_eq!(follow(&entries), Err(Break::Altered { number: changed as u64 + 1 }));
    }
}
