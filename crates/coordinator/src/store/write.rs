//! Writing a batch in one transaction. This is the only write to the database.

use protocol::Timestamp;
use protocol::api::{Change, Model};
use rusqlite::{Transaction, params};

use super::values::{json, kind_word, sqlite_integer};
use super::{Batch, Store, StoreError, audit, datasets, details, machines, sessions};
use crate::crash_points::CrashPoint;

/// Number of revisions for which changes are kept. Clients with older revisions start again.
const KEPT_REVISIONS: u64 = 10_000;

impl Store {
    /// Writes the batch durably and returns the newest revision.
    ///
    /// # Errors
    /// [`StoreError::Full`] and others. Nothing of the batch is written then.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        let next = self.revision + u64::from(!batch.changes.is_empty());
        self.points.pass(CrashPoint::CommitBegun);
        let transaction = self.connection.transaction()?;
        write_rows(&transaction, batch)?;
        super::notifications::write(&transaction, &batch.notifications)?;
        super::leases::write(&transaction, batch)?;
        write_changes(&transaction, next, &batch.changes)?;
        let mut chain = self.chain;
        audit::append(&transaction, &mut chain, &batch.audit)?;
        self.points.pass(CrashPoint::CommitWritten);
        transaction.commit()?;
        self.points.pass(CrashPoint::Committed);
        (self.revision, self.chain) = (next, chain);
        Ok(next)
    }
}

fn write_rows(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    for job in &batch.jobs {
        machines::write(transaction, job)?;
    }
    for device in &batch.removed_devices {
        let id = device.to_string();
        transaction.execute("DELETE FROM tokens WHERE device = ?1", [&id])?;
        transaction.execute("DELETE FROM devices WHERE id = ?1", [&id])?;
    }
    for device in &batch.devices {
        transaction
            .prepare_cached(
                "INSERT INTO devices VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            )?
            .execute(params![
                device.id.to_string(),
                device.hardware_id,
                device.instance,
                json("device", device)?
            ])?;
    }
    for id in &batch.removed_tokens {
        transaction.execute("DELETE FROM tokens WHERE id = ?1", [id])?;
    }
    for token in &batch.tokens {
        transaction.execute(
            "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                token.id,
                token.hash,
                token.role.word(),
                token.name,
                token.device.map(|device| device.to_string()),
                token.created_at.as_millis(),
                token.expires_at.map(Timestamp::as_millis),
                token.last_used.map(Timestamp::as_millis)
            ],
        )?;
    }
    sessions::write(transaction, batch)?;
    for code in &batch.join_codes {
        super::join_codes::write(transaction, code)?;
    }
    // Removed first, because names may move from one model to another.
    for id in batch.models.iter().map(|row| &row.model.id).chain(&batch.removed_models) {
        transaction.execute("DELETE FROM models WHERE id = ?1", [id.to_string()])?;
    }
    for row in &batch.models {
        let model = Model { archived: false, ..row.model.clone() };
        let (model, card) = (json("model", &model)?, json("model card", &row.card)?);
        transaction.execute(
            "INSERT INTO models VALUES (?1, ?2, ?3, ?4, ?5)",
            params![row.model.id.to_string(), row.model.name, row.model.version, model, card],
        )?;
    }
    details::write(transaction, batch)?;
    datasets::write(transaction, batch)
}

fn write_changes(
    transaction: &Transaction<'_>,
    revision: u64,
    changes: &[Change],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    for change in changes {
        transaction
            .prepare_cached("INSERT INTO changes VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![sqlite_integer(revision), kind_word(change.kind), change.id])?;
    }
    transaction
        .prepare_cached("DELETE FROM changes WHERE revision <= ?1")?
        .execute([sqlite_integer(revision.saturating_sub(KEPT_REVISIONS))])?;
    Ok(())
}
