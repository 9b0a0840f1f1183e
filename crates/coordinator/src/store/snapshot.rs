//! Database snapshots: a consistent copy for a backup, and the adoption of a restored copy.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::values::{kind_word, sqlite_integer};
use super::{KNOWN_VERSION, Loaded, Reader, Store, StoreError, audit};
use crate::crash_points::CrashPoints;
use protocol::api::ChangeKind;
use protocol::audit::Record;

/// Increment of the revision in a restored database. It is more than a cluster reaches after a backup, and
/// small compared with the largest exact integer in JSON (2^53).
const REVISION_INCREMENT: u64 = 1 << 32;

/// Content of a database copy.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Schema version.
    pub(crate) version: u32,
    pub(crate) loaded: Loaded,
}

impl Reader {
    /// Copies the database consistently to the empty file at `path`, without blocking the writer.
    pub(crate) fn snapshot(&self, path: &Path) -> Result<Snapshot, StoreError> {
        let mut copy = Connection::open(path)?;
        self.with(|connection| {
            // Copies all pages in one read transaction, so the copy is consistent.
            let step = Backup::new(connection, &mut copy)?.step(-1)?;
            if step == StepResult::Done {
                return Ok(());
            }
            Err(StoreError::Sqlite(format!("the database could not be copied: {step:?}")))
        })?;
        // Without WAL, the copy is a single file.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        let chain = audit::chain(&copy)?;
        let store = Store { connection: copy, revision: 0, chain, points: CrashPoints::default() };
        Ok(Snapshot { version: KNOWN_VERSION, loaded: store.load("")? })
    }
}

/// Prepares a restored database for use: migrates and checks it, resets its change events so that clients
/// read everything again, and appends `record` to its audit log.
///
/// # Errors
/// If a newer program wrote the database, or it is damaged.
pub(crate) fn adopt(path: &Path, record: &Record) -> Result<(), StoreError> {
    let mut store = Store::open(path)?;
    let check: String =
        store.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(StoreError::Unreadable { what: "page", reason: check });
    }
    store.load("")?;
    let revision = store.revision + REVISION_INCREMENT;
    let transaction = store.connection.transaction()?;
    // Clients with an earlier revision get a reset.
    transaction.execute("DELETE FROM changes", [])?;
    let row = (sqlite_integer(revision), kind_word(ChangeKind::Dataset), "");
    transaction.execute("INSERT INTO changes VALUES (?1, ?2, ?3)", row)?;
    audit::append(&transaction, &mut store.chain, std::slice::from_ref(record))?;
    transaction.commit()?;
    store.connection.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}
