//! Browser sessions, and times of last use of credentials.

use protocol::Timestamp;
use protocol::api::Role;
use rusqlite::{Connection, Transaction, params};

use super::values::parsed;
use super::{Batch, Reader, SessionRow, StoreError};
use crate::access::credential::CredentialKind;

impl Reader {
    /// Returns all sessions, including recently expired ones.
    pub(crate) fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        self.with(sessions)
    }
}

pub(super) fn sessions(connection: &Connection) -> Result<Vec<SessionRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, hash, role, name, from_address, created_at, last_used FROM sessions
         ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([], |row| {
        let role: String = row.get(2)?;
        let session = SessionRow {
            id: row.get(0)?,
            hash: row.get(1)?,
            role: Role::Viewer,
            name: row.get(3)?,
            from: row.get(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            last_used: Timestamp::from_millis(row.get(6)?),
        };
        Ok((session, role))
    })?;
    rows.map(|row| {
        let (session, role) = row?;
        Ok(SessionRow { role: parsed("session", &role)?, ..session })
    })
    .collect()
}

/// Writes the batch's sessions, and the last use of credentials that still exist.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    for id in &batch.removed_sessions {
        transaction.execute("DELETE FROM sessions WHERE id = ?1", [id])?;
    }
    for session in &batch.sessions {
        transaction.execute(
            "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                session.id,
                session.hash,
                session.role.word(),
                session.name,
                session.from,
                session.created_at.as_millis(),
                session.last_used.as_millis()
            ],
        )?;
    }
    for ((kind, id), at) in &batch.uses {
        let statement = match kind {
            CredentialKind::Token => "UPDATE tokens SET last_used = ?2 WHERE id = ?1",
            CredentialKind::Session => "UPDATE sessions SET last_used = ?2 WHERE id = ?1",
        };
        transaction.prepare_cached(statement)?.execute(params![id, at.as_millis()])?;
    }
    Ok(())
}
