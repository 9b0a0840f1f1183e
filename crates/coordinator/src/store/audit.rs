//! Table of the audit log. Triggers allow only appending the next entry, so a bug can't change earlier
//! ones. If somebody removes the triggers and alters entries, the hash chain shows it.

use protocol::Timestamp;
use protocol::api::Role;
use protocol::audit::{AuditHash, Chain, Entry, Head, Record, Subject, SubjectKind};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::values::{parsed, read, sqlite_integer, unsigned};
use super::{Reader, StoreError};

/// Maximum number of entries of one read.
pub(crate) const MOST_ENTRIES: u64 = 1000;

impl Reader {
    /// Returns the entries after number `after`, at most `limit` and [`MOST_ENTRIES`].
    pub(crate) fn audit(&self, after: u64, limit: u64) -> Result<Vec<Entry>, StoreError> {
        self.with(|connection| entries(connection, after, limit))
    }

    /// Returns the entries about one subject, the oldest first, at most [`MOST_ENTRIES`].
    pub(crate) fn audit_of(&self, kind: SubjectKind, id: &str) -> Result<Vec<Entry>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM audit WHERE subject_kind = ?1 AND subject_id = ?2
                 ORDER BY number LIMIT ?3",
            )?;
            let values = (kind.word(), id, sqlite_integer(MOST_ENTRIES));
            let rows = statement.query_map(values, stored)?;
            rows.map(|row| entry(row?)).collect()
        })
    }

    /// Returns the number and hash of the newest entry.
    pub(crate) fn audit_head(&self) -> Result<Head, StoreError> {
        let Chain { number, head: hash } = self.with(chain)?;
        Ok(Head { number, hash })
    }
}

/// Returns the end of the chain: the last entry's number and hash.
pub(super) fn chain(connection: &Connection) -> Result<Chain, StoreError> {
    let last = connection
        .query_row("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(last.map_or_else(Chain::default, |(number, head)| Chain {
        number: unsigned(number),
        head: AuditHash::from_bytes(head),
    }))
}

/// Appends records to the log and advances `chain`.
pub(super) fn append(
    transaction: &Transaction<'_>,
    chain: &mut Chain,
    records: &[Record],
) -> Result<(), StoreError> {
    for record in records {
        let entry = chain.append(record.clone());
        let detail = serde_json::to_string(&record.detail)
            .map_err(|error| unreadable(entry.number, error))?;
        transaction
            .prepare_cached(
                "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                sqlite_integer(entry.number),
                record.at.as_millis(),
                record.who,
                record.role.map(Role::word),
                record.from,
                record.action.word(),
                record.subject.kind.word(),
                record.subject.id,
                detail,
                entry.previous.as_bytes(),
                entry.hash.as_bytes(),
            ])?;
    }
    Ok(())
}

/// A row of the table, not parsed yet.
struct Stored {
    number: u64,
    at: i64,
    who: String,
    role: Option<String>,
    from: Option<String>,
    action: String,
    kind: String,
    id: String,
    detail: String,
    previous: [u8; 32],
    hash: [u8; 32],
}

fn entries(connection: &Connection, after: u64, limit: u64) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM audit WHERE number > ?1 ORDER BY number LIMIT ?2")?;
    let limit = sqlite_integer(limit.min(MOST_ENTRIES));
    let rows = statement.query_map([sqlite_integer(after), limit], stored)?;
    rows.map(|row| entry(row?)).collect()
}

fn stored(row: &Row<'_>) -> Result<Stored, rusqlite::Error> {
    Ok(Stored {
        number: unsigned(row.get(0)?),
        at: row.get(1)?,
        who: row.get(2)?,
        role: row.get(3)?,
        from: row.get(4)?,
        action: row.get(5)?,
        kind: row.get(6)?,
        id: row.get(7)?,
        detail: row.get(8)?,
        previous: row.get(9)?,
        hash: row.get(10)?,
    })
}

fn entry(row: Stored) -> Result<Entry, StoreError> {
    let role = row.role.map(|word| word.parse::<Role>());
    let role = role.transpose().map_err(|error| unreadable(row.number, error))?;
    Ok(Entry {
        number: row.number,
        record: Record {
            at: Timestamp::from_millis(row.at),
            who: row.who,
            role,
            from: row.from,
            action: parsed("audit entry", &row.action)?,
            subject: Subject { kind: parsed("audit entry", &row.kind)?, id: row.id },
            detail: read("audit entry", &row.detail)?,
        },
        previous: AuditHash::from_bytes(row.previous),
        hash: AuditHash::from_bytes(row.hash),
    })
}

fn unreadable(number: u64, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what: "audit entry", reason: format!("number {number}: {reason}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use protocol::audit::{Action, Break};

    use super::*;
    use crate::store::{Batch, Store};

    fn record(who: &str) -> Record {
        Record {
            at: Timestamp::from_millis(7),
            who: who.to_owned(),
            role: Some(Role::Admin),
            from: Some("::1".to_owned()),
            action: Action::Created,
            subject: Subject { kind: SubjectKind::Token, id: "t".to_owned() },
            detail: BTreeMap::from([("name".to_owned(), "wall".to_owned())]),
        }
    }

    fn log(store: &mut Store, who: &str) {
        let batch = Batch { audit: vec![record(who), record(who)], ..Batch::default() };
        store.commit(&batch).unwrap();
    }

    fn follow(path: &Path) -> Result<Chain, Break> {
        let mut chain = Chain::default();
        let entries = Reader::new(path).audit(0, MOST_ENTRIES);
        let entries = entries.unwrap_or_else(|error| panic!("the log can't be read: {error}"));
        entries.iter().try_for_each(|entry| chain.follow(entry))?;
        Ok(chain)
    }

    #[test]
    fn the_chain_continues_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        for who in ["Ana", "Bob"] {
            log(&mut Store::open(&path).unwrap(), who);
        }
        assert_eq!(follow(&path).unwrap().number, 4);
        let page = Reader::new(&path).audit(1, 2).unwrap();
        assert_eq!(page.iter().map(|entry| entry.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(page[1].record, record("Bob"));
    }

    #[test]
    fn a_failed_batch_leaves_no_entry_and_the_next_one_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut store = Store::open(&path).unwrap();
        log(&mut store, "Ana");
        let mut row = crate::store::tests::token("t");
        let batch = Batch {
            tokens: vec![row.clone(), row.clone()],
            audit: vec![record("Bob")],
            ..Batch::default()
        };
        store.commit(&batch).unwrap_err();
        assert_eq!(follow(&path).unwrap().number, 2);
        row.id = "u".to_owned();
        let batch = Batch { tokens: vec![row], audit: vec![record("Bob")], ..Batch::default() };
        store.commit(&batch).unwrap();
        assert_eq!(follow(&path).unwrap().number, 3);
    }

    #[test]
    fn the_database_accepts_only_the_next_entry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        log(&mut Store::open(&path).unwrap(), "Ana");
        let connection = Connection::open(&path).unwrap();
        let columns = "at, who, role, from_address, action, subject_kind, subject_id, detail, \
                       previous, hash";
        for statement in [
            "UPDATE audit SET who = 'Bob'".to_owned(),
            "DELETE FROM audit WHERE number = 2".to_owned(),
            "DELETE FROM audit".to_owned(),
            "UPDATE OR REPLACE audit SET number = 1 WHERE number = 2".to_owned(),
            // REPLACE deletes rows without running the DELETE triggers.
            format!("REPLACE INTO audit SELECT number, {columns} FROM audit"),
            format!("INSERT INTO audit SELECT 9, {columns} FROM audit LIMIT 1"),
        ] {
            let error = connection.execute(&statement, []).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{statement}: {error}");
        }
        assert_eq!(follow(&path).unwrap().number, 2);
    }

    #[test]
    fn without_the_triggers_the_hash_chain_shows_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut store = Store::open(&path).unwrap();
        for who in ["Ana", "Bob"] {
            log(&mut store, who);
        }
        let connection = Connection::open(&path).unwrap();
        let drop_triggers = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_cut";
        connection.execute_batch(drop_triggers).unwrap();
        connection.execute("UPDATE audit SET who = 'Eve' WHERE number = 2", []).unwrap();
        assert_eq!(follow(&path), Err(Break::Altered { number: 2 }));
        connection.execute("DELETE FROM audit WHERE number = 2", []).unwrap();
        assert_eq!(follow(&path), Err(Break::Gap { expected: 2, found: 3 }));
    }
}
