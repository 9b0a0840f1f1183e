//! Join codes in the database.

use protocol::{Opaque, Timestamp};
use rusqlite::{Connection, Row, Transaction, params};

use super::StoreError;
use super::rows::JoinCodeRow;
use super::values::parsed;
use crate::cluster::sealed_secrets::SealedSecret;

/// Inserts the code, or updates its variable columns.
pub(super) fn write(transaction: &Transaction<'_>, code: &JoinCodeRow) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO join_codes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET
                uses = excluded.uses, tries = excluded.tries, revoked = excluded.revoked",
        )?
        .execute(params![
            code.id,
            code.name,
            code.hint.to_string(),
            code.proof,
            code.password.0.0,
            code.uses,
            code.maximum_uses,
            code.tries,
            code.expires_at.as_millis(),
            code.created_at.as_millis(),
            code.revoked
        ])?;
    Ok(())
}

/// Returns all codes, oldest first.
pub(super) fn read_all(connection: &Connection) -> Result<Vec<JoinCodeRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, hint, proof, password, uses, maximum_uses, tries, expires_at, created_at,
            revoked
         FROM join_codes ORDER BY created_at, id",
    )?;
    let mut rows = statement.query([])?;
    let mut codes = Vec::new();
    while let Some(row) = rows.next()? {
        codes.push(read(row)?);
    }
    Ok(codes)
}

fn read(row: &Row<'_>) -> Result<JoinCodeRow, StoreError> {
    Ok(JoinCodeRow {
        id: row.get(0)?,
        name: row.get(1)?,
        hint: parsed("join code", &row.get::<_, String>(2)?)?,
        proof: row.get(3)?,
        password: SealedSecret(Opaque(row.get(4)?)),
        uses: row.get(5)?,
        maximum_uses: row.get(6)?,
        tries: row.get(7)?,
        expires_at: Timestamp::from_millis(row.get(8)?),
        created_at: Timestamp::from_millis(row.get(9)?),
        revoked: row.get(10)?,
    })
}
