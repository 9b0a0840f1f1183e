//! Tables of the jobs: what was asked for, and the state of its machine as a head, the preparation and
//! rows for seats, leases, rounds and devices.

use std::fmt::Display;

use federation::machine::{Changes, Head, Machine, MachineRows, Preparation, Record};
use protocol::{JobId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Deserializer;

use super::values::{json, parsed, read, texts};
use super::{JobChanges, JobRow, StoreError};

/// Table of a kind of rows of a machine, each with its key and its record.
#[derive(Debug, Clone, Copy)]
struct RowTable {
    name: &'static str,
    key: &'static str,
}

const SEATS: RowTable = RowTable { name: "job_seats", key: "seat" };
const LEASES: RowTable = RowTable { name: "job_leases", key: "lease" };
const PAST_LEASES: RowTable = RowTable { name: "job_past_leases", key: "lease" };
const ROUNDS: RowTable = RowTable { name: "job_rounds", key: "round" };
const DEVICES: RowTable = RowTable { name: "job_devices", key: "device" };

/// Writes what changed of a job.
pub(super) fn write(transaction: &Transaction<'_>, job: &JobChanges) -> Result<(), StoreError> {
    let id = job.id.to_string();
    if let Some(spec) = &job.new_spec {
        transaction
            .prepare_cached(
                "INSERT INTO jobs (id, created_at, spec, created_by) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, job.created_at.as_millis(), json("job", spec)?, job.created_by])?;
    }
    write_machine(transaction, &id, &job.machine)
}

fn write_machine(
    transaction: &Transaction<'_>,
    job: &str,
    changes: &Changes,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO machines (job, head) VALUES (?1, ?2)
             ON CONFLICT (job) DO UPDATE SET head = excluded.head",
        )?
        .execute((job, json("job", &changes.head)?))?;
    if let Some(preparation) = &changes.preparation {
        transaction
            .prepare_cached(
                "INSERT INTO preparations (job, preparation) VALUES (?1, ?2)
                 ON CONFLICT (job) DO UPDATE SET preparation = excluded.preparation",
            )?
            .execute((job, json("job", &**preparation)?))?;
    }
    SEATS.write(transaction, job, &changes.seats)?;
    let leases = changes.leases.iter().map(|(lease, row)| (lease.to_string(), row));
    LEASES.write(transaction, job, &leases.collect::<Vec<_>>())?;
    let past_leases = changes.past_leases.iter().map(|(lease, row)| (lease.to_string(), row));
    PAST_LEASES.write(transaction, job, &past_leases.collect::<Vec<_>>())?;
    ROUNDS.write(transaction, job, &changes.rounds)?;
    let devices = changes.devices.iter().map(|(device, row)| (device.to_string(), row));
    DEVICES.write(transaction, job, &devices.collect::<Vec<_>>())
}

impl RowTable {
    fn write<K: rusqlite::ToSql>(
        self,
        transaction: &Transaction<'_>,
        job: &str,
        rows: &[(K, impl AsRecord)],
    ) -> Result<(), StoreError> {
        let Self { name, key } = self;
        if rows.is_empty() {
            return Ok(());
        }
        let mut put = transaction.prepare_cached(&format!(
            "INSERT INTO {name} (job, {key}, record) VALUES (?1, ?2, ?3)
             ON CONFLICT (job, {key}) DO UPDATE SET record = excluded.record"
        ))?;
        let mut remove = transaction
            .prepare_cached(&format!("DELETE FROM {name} WHERE job = ?1 AND {key} = ?2"))?;
        for (key, record) in rows {
            match record.as_record() {
                Some(record) => put.execute(params![job, key, json("job", record)?])?,
                None => remove.execute(params![job, key])?,
            };
        }
        Ok(())
    }

    /// Calls `add` with the key and the record of each row of a job.
    fn read<K: rusqlite::types::FromSql>(
        self,
        connection: &Connection,
        job: &str,
        mut add: impl FnMut(K, &str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { name, key } = self;
        let mut statement = connection
            .prepare_cached(&format!("SELECT {key}, record FROM {name} WHERE job = ?1"))?;
        let mut rows = statement.query([job])?;
        while let Some(row) = rows.next()? {
            let record: String = row.get(1)?;
            add(row.get(0)?, &record)?;
        }
        Ok(())
    }
}

/// Record to write, or `None` for a removed row.
trait AsRecord {
    fn as_record(&self) -> Option<&Record>;
}

impl AsRecord for Option<Record> {
    fn as_record(&self) -> Option<&Record> {
        self.as_ref()
    }
}

impl AsRecord for &Option<Record> {
    fn as_record(&self) -> Option<&Record> {
        self.as_ref()
    }
}

/// Returns all jobs.
pub(super) fn read_all(connection: &Connection) -> Result<Vec<JobRow>, StoreError> {
    let mut statement =
        connection.prepare("SELECT id, created_at, created_by FROM jobs ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        jobs.push(JobRow {
            machine: read_machine(connection, &id)?,
            id: parsed("job", &id)?,
            created_at: Timestamp::from_millis(row.get(1)?),
            created_by: row.get(2)?,
        });
    }
    Ok(jobs)
}

fn read_machine(connection: &Connection, job: &str) -> Result<Machine, StoreError> {
    let head: String = connection
        .prepare_cached("SELECT head FROM machines WHERE job = ?1")?
        .query_row([job], |row| row.get(0))
        .optional()?
        .ok_or_else(|| unreadable(&"its machine is missing"))?;
    let mut parts = MachineRows::new(read("job", &head)?);
    let preparation: Option<String> = connection
        .prepare_cached("SELECT preparation FROM preparations WHERE job = ?1")?
        .query_row([job], |row| row.get(0))
        .optional()?;
    if let Some(preparation) = preparation {
        parts.set_preparation(read::<Preparation>("job", &preparation)?);
    }
    SEATS.read(connection, job, |seat: u32, record| {
        parts.add_seat(seat, &mut Deserializer::from_str(record)).map_err(|e| unreadable(&e))
    })?;
    LEASES.read(connection, job, |lease: String, record| {
        let lease = parsed("lease", &lease)?;
        parts.add_lease(lease, &mut Deserializer::from_str(record)).map_err(|e| unreadable(&e))
    })?;
    PAST_LEASES.read(connection, job, |lease: String, record| {
        let lease = parsed("lease", &lease)?;
        let mut record = Deserializer::from_str(record);
        parts.add_past_lease(lease, &mut record).map_err(|e| unreadable(&e))
    })?;
    ROUNDS.read(connection, job, |_: u32, record| {
        parts.add_round(&mut Deserializer::from_str(record)).map_err(|e| unreadable(&e))
    })?;
    DEVICES.read(connection, job, |device: String, record| {
        let device = parsed("device", &device)?;
        parts.add_device(device, &mut Deserializer::from_str(record)).map_err(|e| unreadable(&e))
    })?;
    parts.machine().map_err(|error| unreadable(&error))
}

fn unreadable(error: &impl Display) -> StoreError {
    StoreError::Unreadable { what: "job", reason: error.to_string() }
}

/// Writes the rows of each job that version 5 stored as one JSON document.
pub(super) fn split_documents(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let mut statement = transaction.prepare("SELECT id, machine FROM jobs")?;
    let documents = statement.query_map([], texts)?.collect::<Result<Vec<_>, _>>()?;
    for (id, document) in documents {
        parsed::<JobId>("job", &id)?;
        let head: Head = read("job", &document)?;
        let machine = MachineRows::new(head).machine().map_err(|error| unreadable(&error))?;
        write_machine(transaction, &id, &machine.all_rows())?;
    }
    Ok(())
}
