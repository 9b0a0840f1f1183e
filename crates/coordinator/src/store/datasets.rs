//! Tables of the uploaded datasets, their versions and their shards.

use std::collections::BTreeMap;

use protocol::{BlobHash, Timestamp};
use rusqlite::{Connection, Transaction, params};

use super::dataset_rows::{DatasetRow, DatasetVersionRow, StoredShard};
use super::values::{json, parsed, read, sqlite_integer, unsigned};
use super::{Batch, Reader, StoreError};

const TRAIN: &str = "train";
const VALIDATION: &str = "validation";
const TEST: &str = "test";

impl Reader {
    /// Returns the uploaded datasets of a database that may have any version. Databases of earlier versions
    /// have none.
    pub(crate) fn datasets_of_any_version(&self) -> Result<Vec<DatasetRow>, StoreError> {
        self.with(|connection| {
            let query = "SELECT count(*) FROM sqlite_schema WHERE name = 'datasets'";
            let tables: u32 = connection.query_row(query, [], |row| row.get(0))?;
            if tables == 0 { Ok(Vec::new()) } else { read_all(connection) }
        })
    }
}

/// Writes the changed datasets, each with all its versions.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    for id in batch.datasets.iter().map(|row| &row.id).chain(&batch.removed_datasets) {
        transaction.execute("DELETE FROM dataset_shards WHERE dataset = ?1", [id])?;
        transaction.execute("DELETE FROM dataset_versions WHERE dataset = ?1", [id])?;
        transaction.execute("DELETE FROM datasets WHERE id = ?1", [id])?;
    }
    for row in &batch.datasets {
        transaction.execute(
            "INSERT INTO datasets VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row.id,
                row.name,
                row.created_at.as_millis(),
                row.archived_at.map(Timestamp::as_millis),
                row.newest
            ],
        )?;
        for (number, version) in &row.versions {
            write_version(transaction, &row.id, *number, version)?;
        }
    }
    Ok(())
}

fn write_version(
    transaction: &Transaction<'_>,
    dataset: &str,
    number: u32,
    version: &DatasetVersionRow,
) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO dataset_versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            dataset,
            number,
            version.created_at.as_millis(),
            version.created_by,
            json("dataset", &version.info)?,
            json("dataset", &version.files)?,
            json("dataset", &version.plan)?
        ],
    )?;
    let shards = [
        (TRAIN, Some(version.train)),
        (VALIDATION, version.validation),
        (TEST, Some(version.test)),
    ];
    for (split, shard) in shards {
        let Some(shard) = shard else { continue };
        transaction.execute(
            "INSERT INTO dataset_shards VALUES (?1, ?2, ?3, ?4, ?5)",
            params![dataset, number, split, shard.blob.to_string(), sqlite_integer(shard.bytes)],
        )?;
    }
    Ok(())
}

/// Returns all datasets, sorted by id.
pub(super) fn read_all(connection: &Connection) -> Result<Vec<DatasetRow>, StoreError> {
    let mut statement = connection
        .prepare("SELECT id, name, created_at, archived_at, newest FROM datasets ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok(DatasetRow {
            id: row.get(0)?,
            name: row.get(1)?,
            created_at: Timestamp::from_millis(row.get(2)?),
            archived_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
            newest: row.get(4)?,
            versions: BTreeMap::new(),
        })
    })?;
    rows.map(|row| {
        let mut row = row?;
        row.versions = versions(connection, &row.id)?;
        Ok(row)
    })
    .collect()
}

fn versions(
    connection: &Connection,
    dataset: &str,
) -> Result<BTreeMap<u32, DatasetVersionRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT version, created_at, created_by, info, files, plan FROM dataset_versions
         WHERE dataset = ?1",
    )?;
    let mut rows = statement.query([dataset])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let number: u32 = row.get(0)?;
        let [info, files, plan]: [String; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
        let mut shards = shards(connection, dataset, number)?;
        let missing = |split: &str| StoreError::Unreadable {
            what: "dataset",
            reason: format!("version {number} of {dataset} has no {split} shard"),
        };
        let version = DatasetVersionRow {
            info: read("dataset", &info)?,
            created_at: Timestamp::from_millis(row.get(1)?),
            created_by: row.get(2)?,
            files: read("dataset", &files)?,
            plan: read("dataset", &plan)?,
            train: shards.remove(TRAIN).ok_or_else(|| missing(TRAIN))?,
            validation: shards.remove(VALIDATION),
            test: shards.remove(TEST).ok_or_else(|| missing(TEST))?,
        };
        found.insert(number, version);
    }
    Ok(found)
}

fn shards(
    connection: &Connection,
    dataset: &str,
    number: u32,
) -> Result<BTreeMap<String, StoredShard>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT split, blob, bytes FROM dataset_shards WHERE dataset = ?1 AND version = ?2",
    )?;
    let rows = statement.query_map(params![dataset, number], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    rows.map(|row| {
        let (split, blob, bytes) = row?;
        let blob: BlobHash = parsed("dataset", &blob)?;
        Ok((split, StoredShard { blob, bytes: unsigned(bytes) }))
    })
    .collect()
}
