//! Random changes of a table, and its two kinds of writes.

use proptest::prelude::*;

use super::*;

/// Keys by value.
#[derive(Debug, Clone, Default, PartialEq)]
struct ByValue(BTreeSet<(u8, u8)>);

impl Index<u8, u8> for ByValue {
    fn insert(&mut self, key: &u8, row: &u8) {
        assert!(self.0.insert((*row, *key)), "inserted twice");
    }

    fn remove(&mut self, key: &u8, row: &u8) {
        assert!(self.0.remove(&(*row, *key)), "removed twice");
    }
}

type Numbers = Table<u8, u8, ByValue>;

#[derive(Debug, Clone)]
enum Action {
    Insert(u8, u8),
    Remove(u8),
    Change(u8, u8),
    Derive(u8, u8),
    Replace(BTreeMap<u8, u8>),
    Commit,
    Keep,
    RollBack,
}

fn action() -> impl Strategy<Value = Action> {
    let key = || 0_u8..6;
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, row)| Action::Insert(key, row)),
        2 => key().prop_map(Action::Remove),
        4 => (key(), any::<u8>()).prop_map(|(key, row)| Action::Change(key, row)),
        2 => (key(), any::<u8>()).prop_map(|(key, row)| Action::Derive(key, row)),
        1 => prop::collection::btree_map(key(), any::<u8>(), 0..4).prop_map(Action::Replace),
        2 => Just(Action::Commit),
        1 => Just(Action::Keep),
        2 => Just(Action::RollBack),
    ]
}

proptest! {
    #[test]
    fn a_rollback_restores_rows_and_index_and_a_commit_writes_all_that_changed(
        actions in prop::collection::vec(action(), 0..60),
    ) {
        let mut table = Numbers::default();
        let mut before = table.clone();
        // What the database holds, apart from derived changes.
        let mut stored: BTreeMap<u8, u8> = BTreeMap::new();
        let mut derived: BTreeSet<u8> = BTreeSet::new();
        for action in actions {
            match action {
                Action::Insert(key, row) => table.insert(key, row),
                Action::Remove(key) => drop(table.remove(&key)),
                Action::Change(key, row) => {
                    table.change(&key, Durability::Commit, |it| *it = row);
                }
                Action::Derive(key, row) => {
                    table.change(&key, Durability::Derived, |it| *it = row);
                    derived.insert(key);
                }
                Action::Replace(rows) => table.replace(rows, ByValue::default()),
                Action::Commit => {
                    for (key, row) in table.unwritten() {
                        match row {
                            Some(row) => stored.insert(*key, *row),
                            None => stored.remove(key),
                        };
                    }
                    table.commit();
                    prop_assert!(!table.has_unwritten());
                    let written = |rows: &BTreeMap<u8, u8>| -> Vec<(u8, u8)> {
                        let rows = rows.iter().filter(|(key, _)| !derived.contains(key));
                        rows.map(|(key, row)| (*key, *row)).collect()
                    };
                    prop_assert_eq!(written(&table.rows), written(&stored));
                    before = table.clone();
                }
                Action::Keep => {
                    table.keep();
                    before = table.clone();
                }
                Action::RollBack => {
                    table.roll_back();
                    prop_assert_eq!(&table, &before);
                    prop_assert_eq!(&table.unwritten, &before.unwritten);
                }
            }
            let rebuilt = Numbers::stored(table.rows.clone(), ByValue::default());
            prop_assert_eq!(&rebuilt.index, &table.index);
        }
    }
}

#[test]
fn a_change_for_the_flush_is_not_part_of_the_commit() {
    let mut table = Numbers::stored(BTreeMap::from([(1, 1), (2, 2)]), ByValue::default());
    table.change(&1, Durability::Flush, |row| *row = 10);
    assert!(!table.has_unwritten());
    assert_eq!(table.unflushed(usize::MAX).collect::<Vec<_>>(), [(&1, Some(&10))]);
    table.change(&1, Durability::Commit, |row| *row = 11);
    assert_eq!(table.unflushed(usize::MAX).count(), 0, "the commit writes it");
    table.roll_back();
    assert_eq!(table.get(&1), Some(&1));
    assert_eq!(table.unflushed(usize::MAX).count(), 1);
    table.flushed(usize::MAX);
    assert_eq!(table.unflushed(usize::MAX).count(), 0);
}

#[test]
fn every_row_has_its_turn_in_flushes() {
    let rows = (0..5).map(|key| (key, 0)).collect();
    let mut table = Numbers::stored(rows, ByValue::default());
    let mut written = Vec::new();
    for turn in 1..=4 {
        // The first two change before every flush.
        for key in (0..5).filter(|key| *key < 2 || !written.contains(key)) {
            table.change(&key, Durability::Flush, |row| *row = turn);
        }
        written.extend(table.unflushed(2).map(|(key, _)| *key));
        table.flushed(2);
    }
    assert_eq!(written, [0, 1, 2, 3, 4, 0, 1, 0]);
    assert!(!table.owes_flush());
}
