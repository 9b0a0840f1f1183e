//! The database as a file of its own: a copy of one moment for a backup, and what becomes of such a
//! copy when it is restored.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::write::{kind_word, sqlite_integer};
use super::{KNOWN_VERSION, Loaded, Reader, Store, StoreError, audit};
use crate::crash_points::CrashPoints;
use protocol::api::ChangeKind;
use protocol::audit::Record;

/// How far the revision of the events jumps in a restored database: further than any cluster gets
/// between a backup and its end, and a small part of the whole numbers that JSON carries (2^53).
const JUMP: u64 = 1 << 32;

/// A copy of the database.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Of the database's shape.
    pub(crate) version: u32,
    pub(crate) loaded: Loaded,
}

impl Reader {
    /// Copies the database to the empty file at `path`, as it is at one moment; who writes is not
    /// held up.
    pub(crate) fn snapshot(&self, path: &Path) -> Result<Snapshot, StoreError> {
        let mut copy = Connection::open(path)?;
        self.with(|connection| {
            // All pages at once: one read transaction, one moment.
            let step = Backup::new(connection, &mut copy)?.step(-1)?;
            if step == StepResult::Done {
                return Ok(());
            }
            Err(StoreError::Sqlite(format!("it could not be copied: {step:?}")))
        })?;
        // One file, without a log beside it.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        let chain = audit::chain(&copy)?;
        let store = Store { connection: copy, revision: 0, chain, points: CrashPoints::default() };
        Ok(Snapshot { version: KNOWN_VERSION, loaded: store.load("")? })
    }
}

/// Makes a restored database one that a coordinator can go on with: brought up to date, and told to
/// everybody who watches the events as a new beginning. `record` goes into its audit log.
///
/// # Errors
/// Where a later program wrote it, or it is damaged.
pub(crate) fn adopt(path: &Path, record: &Record) -> Result<(), StoreError> {
    let mut store = Store::open(path)?;
    let check: String =
        store.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(StoreError::Unreadable { what: "page", reason: check });
    }
    store.load("")?;
    let revision = store.revision + JUMP;
    let transaction = store.connection.transaction()?;
    // Whoever asks for what came after an earlier revision is told to start anew.
    transaction.execute("DELETE FROM changes", [])?;
    let row = (sqlite_integer(revision), kind_word(ChangeKind::Dataset), "");
    transaction.execute("INSERT INTO changes VALUES (?1, ?2, ?3)", row)?;
    audit::append(&transaction, &mut store.chain, std::slice::from_ref(record))?;
    transaction.commit()?;
    store.connection.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}
