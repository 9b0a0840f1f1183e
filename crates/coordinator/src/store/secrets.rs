//! Encryption of plaintext secrets in a database from before version 5, and removal of every trace
//! of them: from the file, its log and the copies that earlier migrations kept.
//!
//! A mark in `meta` records completion, so that the next start continues after a crash.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use protocol::Opaque;
use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value};

use super::values::read;
use super::{Store, StoreError, WebhookRow, WebhookTarget, join_codes, notifications};
use crate::cluster::sealed_secrets::{SealedSecret, SecretError, SecretKey};

const MARK: &str = "secrets_encrypted";
/// Length of a plaintext join code password. An encrypted one is longer.
const PASSWORD: i64 = 32;

/// Returns the name of the row for which a join code's password is encrypted.
pub(crate) fn password_row(id: &str) -> String {
    format!("join_codes/{id}")
}

impl Store {
    /// Encrypts plaintext secrets and checks that all secrets can be decrypted.
    ///
    /// # Errors
    /// Also if the secrets belong to another cluster.
    pub(crate) fn seal_secrets(
        &mut self,
        path: &Path,
        secrets: &SecretKey,
    ) -> Result<(), StoreError> {
        let query = "SELECT count(*) FROM meta WHERE key = ?1";
        let is_done: bool = self.connection.query_row(query, [MARK], |row| row.get(0))?;
        if !is_done {
            let transaction = self.connection.transaction()?;
            seal_passwords(&transaction, secrets)?;
            seal_webhooks(&transaction, secrets)?;
            transaction.commit()?;
            redact_kept_copies(path)?;
            purge(&self.connection)?;
            self.connection.execute("INSERT INTO meta VALUES (?1, '')", [MARK])?;
        }
        for code in join_codes::read_all(&self.connection)? {
            let opened = secrets.open(&password_row(&code.id), &code.password);
            opened.map_err(|error| other_key("join code", error))?;
        }
        notifications::read_all(&self.connection)?
            .webhooks
            .iter()
            .try_for_each(|row| row.target(secrets).map(drop))
    }
}

fn other_key(what: &'static str, error: SecretError) -> StoreError {
    let reason =
        format!("{error}; put the database and the folder 'cluster' of one backup in place");
    StoreError::Unreadable { what, reason }
}

fn seal_passwords(transaction: &Transaction<'_>, secrets: &SecretKey) -> Result<(), StoreError> {
    let mut statement =
        transaction.prepare("SELECT id, password FROM join_codes WHERE length(password) = ?1")?;
    let rows = statement.query_map([PASSWORD], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let plain: Vec<(String, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
    for (id, password) in plain {
        let sealed = secrets.seal(&password_row(&id), &password);
        let SealedSecret(Opaque(sealed)) = sealed.map_err(|error| other_key("join code", error))?;
        let update = "UPDATE join_codes SET password = ?2 WHERE id = ?1";
        transaction.execute(update, params![id, sealed])?;
    }
    Ok(())
}

fn seal_webhooks(transaction: &Transaction<'_>, secrets: &SecretKey) -> Result<(), StoreError> {
    let mut statement = transaction
        .prepare("SELECT record FROM webhooks WHERE record ->> '$.secret' IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let plain: Vec<String> = rows.collect::<Result<_, _>>()?;
    for record in plain {
        let target: WebhookTarget = read("webhook", &record)?;
        let mut fields: Map<String, Value> = read("webhook", &record)?;
        fields.retain(|name, _| name != "url" && name != "secret");
        let row: WebhookRow = read("webhook", &Value::Object(fields).to_string())?;
        let row = WebhookRow { sealed: target.seal(row.id, secrets)?, ..row };
        let update = "UPDATE webhooks SET record = ?2 WHERE id = ?1";
        let json = super::values::json("webhook", &row)?;
        transaction.execute(update, params![row.id.to_string(), json])?;
    }
    Ok(())
}

/// Overwrites deleted data in the file and its log.
fn purge(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch("VACUUM")?;
    // The pragma returns a row.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Removes the secrets from a kept copy of an earlier version. The program that wrote it can still
/// use the copy, except for webhooks, which are removed, and typed join codes; links stay valid.
pub(super) fn redact(copy: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(copy)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    let known = |table: &str| -> Result<bool, StoreError> {
        let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        Ok(connection.query_row(query, [table], |row| row.get(0))?)
    };
    if known("join_codes")? {
        // Random, so no client can prove it.
        connection.execute("UPDATE join_codes SET password = randomblob(32)", [])?;
    }
    for table in ["webhooks", "deliveries"] {
        if known(table)? {
            connection.execute(&format!("DELETE FROM {table}"), [])?;
        }
    }
    Ok(connection.execute_batch("VACUUM")?)
}

/// Redacts the copies that earlier migrations of the database at `path` kept.
fn redact_kept_copies(path: &Path) -> Result<(), StoreError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    // An in-memory database has no copies.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if is_kept_copy(name, &entry.file_name()) {
            redact(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns whether a file of this name is a copy kept by a migration of the database.
fn is_kept_copy(database: &OsStr, name: &OsStr) -> bool {
    let (Some(database), Some(name)) = (database.to_str(), name.to_str()) else { return false };
    let version = name.strip_prefix(database).and_then(|rest| rest.strip_prefix(".version-"));
    version.is_some_and(|version| version.parse::<u32>().is_ok())
}
