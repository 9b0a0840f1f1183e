//! Notices, webhooks and deliveries, each a row of JSON.

use rusqlite::{Connection, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::notification_rows::{NotificationRow, StoredNotifications};
use super::values::{json, read};

pub(super) fn read_all(connection: &Connection) -> Result<StoredNotifications, StoreError> {
    Ok(StoredNotifications {
        notices: records(connection, "notice", "SELECT record FROM notices ORDER BY id")?,
        webhooks: records(connection, "webhook", "SELECT record FROM webhooks ORDER BY id")?,
        deliveries: records(connection, "delivery", "SELECT record FROM deliveries ORDER BY id")?,
    })
}

fn records<T: DeserializeOwned>(
    connection: &Connection,
    what: &'static str,
    query: &str,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|row| read(what, &row?)).collect()
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    entries: &[NotificationRow],
) -> Result<(), StoreError> {
    for entry in entries {
        match entry {
            NotificationRow::Notice(id, row) => {
                put(transaction, "notices", "notice", &id.to_string(), row.as_ref())?;
            }
            NotificationRow::Webhook(id, row) => {
                put(transaction, "webhooks", "webhook", &id.to_string(), row.as_ref())?;
            }
            NotificationRow::Delivery(id, row) => {
                put(transaction, "deliveries", "delivery", &id.to_string(), row.as_ref())?;
            }
        }
    }
    Ok(())
}

fn put<T: Serialize>(
    transaction: &Transaction<'_>,
    table: &'static str,
    what: &'static str,
    id: &str,
    row: Option<&T>,
) -> Result<(), StoreError> {
    match row {
        Some(row) => transaction
            .prepare_cached(&format!(
                "INSERT INTO {table} VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET record = excluded.record"
            ))?
            .execute((id, json(what, row)?))?,
        None => transaction
            .prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?
            .execute([id])?,
    };
    Ok(())
}
