//! Encrypting the secrets that a database of before version 5 has in the clear, and removing every
//! trace of them: from the file, from its log and from the copies that earlier migrations kept.
//!
//! A mark in `meta` says that this is done, so that a crash on the way leaves it to the next start.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use protocol::Opaque;
use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value};

use super::{Store, StoreError, WebhookRow, WebhookTarget, join_codes, read, telling};
use crate::sealed_secrets::{SealedSecret, SecretError, SecretKey};

const MARK: &str = "secrets_encrypted";
/// Bytes of a join code's password in the clear; an encrypted one is longer.
const PASSWORD: i64 = 32;

/// The name of the row that a join code's password is encrypted for.
pub(crate) fn password_row(id: &str) -> String {
    format!("join_codes/{id}")
}

impl Store {
    /// Encrypts what is in the clear, and finds out whether everything can be decrypted.
    ///
    /// # Errors
    /// Also where secrets are another cluster's.
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
        telling::told(&self.connection)?
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
        let json = super::write::json("webhook", &row)?;
        transaction.execute(update, params![row.id.to_string(), json])?;
    }
    Ok(())
}

/// Overwrites what was deleted, in the file and in its log.
fn purge(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch("VACUUM")?;
    // It answers with a row.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Takes the secrets out of a copy that is kept of an earlier version. The program that wrote it goes
/// on with it, but for webhooks, which are gone, and for join codes that somebody types: links still count.
pub(super) fn redact(copy: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(copy)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    let known = |table: &str| -> Result<bool, StoreError> {
        let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        Ok(connection.query_row(query, [table], |row| row.get(0))?)
    };
    if known("join_codes")? {
        // Nobody knows it, so nobody proves it.
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
    // A database in memory has none.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if is_kept_copy(name, &entry.file_name()) {
            redact(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether a file of this name is a copy that a migration of the database keeps.
fn is_kept_copy(database: &OsStr, name: &OsStr) -> bool {
    let (Some(database), Some(name)) = (database.to_str(), name.to_str()) else { return false };
    let version = name.strip_prefix(database).and_then(|rest| rest.strip_prefix(".version-"));
    version.is_some_and(|version| version.parse::<u32>().is_ok())
}
