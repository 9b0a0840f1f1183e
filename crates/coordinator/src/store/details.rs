//! Tables of the jobs' details and of the model names.

use protocol::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::details_rows::{DatasetPin, JobDetails, JobDetailsRow, ModelName, ModelNameRow};
use super::values::parsed;
use super::{Batch, StoreError};

/// Tables with rows of a job, apart from `jobs`.
const JOB_TABLES: [&str; 9] = [
    "machines",
    "preparations",
    "job_seats",
    "job_leases",
    "job_past_leases",
    "job_rounds",
    "job_devices",
    "leases",
    "job_details",
];

/// Removes the deleted jobs and models, and writes the changed details and names.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    for JobDetailsRow { job, details } in &batch.job_details {
        let pin = details.dataset.as_ref();
        transaction.execute(
            "INSERT INTO job_details VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (job) DO UPDATE SET name = excluded.name,
                archived_at = excluded.archived_at, dataset = excluded.dataset,
                dataset_name = excluded.dataset_name, dataset_version = excluded.dataset_version,
                dataset_deleted = excluded.dataset_deleted",
            params![
                job.to_string(),
                details.name,
                details.archived_at.map(Timestamp::as_millis),
                pin.map(|pin| &pin.dataset),
                pin.map(|pin| &pin.name),
                pin.map(|pin| pin.version),
                pin.is_some_and(|pin| pin.deleted)
            ],
        )?;
    }
    for job in &batch.removed_jobs {
        let id = job.to_string();
        transaction.execute("DELETE FROM jobs WHERE id = ?1", [&id])?;
        for table in JOB_TABLES {
            transaction.execute(&format!("DELETE FROM {table} WHERE job = ?1"), [&id])?;
        }
    }
    for name in &batch.removed_model_names {
        transaction.execute("DELETE FROM model_names WHERE name = ?1", [name])?;
    }
    for ModelNameRow { name, row } in &batch.model_names {
        transaction.execute(
            "INSERT INTO model_names VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET newest = excluded.newest,
                archived_at = excluded.archived_at",
            params![name, row.newest, row.archived_at.map(Timestamp::as_millis)],
        )?;
    }
    Ok(())
}

/// Returns the details of all jobs that have any.
pub(super) fn jobs(connection: &Connection) -> Result<Vec<JobDetailsRow>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT job, name, archived_at, dataset, dataset_name, dataset_version, dataset_deleted
         FROM job_details ORDER BY job",
    )?;
    let rows = statement.query_map([], |row| {
        let pin: Option<String> = row.get(3)?;
        let dataset = pin.map(|dataset| {
            let (name, version, deleted) = (row.get(4)?, row.get(5)?, row.get(6)?);
            Ok::<_, rusqlite::Error>(DatasetPin { dataset, name, version, deleted })
        });
        let archived_at = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis);
        let details = JobDetails { name: row.get(1)?, archived_at, dataset: dataset.transpose()? };
        Ok((row.get::<_, String>(0)?, details))
    })?;
    rows.map(|row| {
        let (job, details) = row?;
        Ok(JobDetailsRow { job: parsed("job", &job)?, details })
    })
    .collect()
}

/// Returns all model names, also those whose versions were all deleted.
pub(super) fn model_names(connection: &Connection) -> Result<Vec<ModelNameRow>, StoreError> {
    let mut statement = connection.prepare("SELECT name, newest, archived_at FROM model_names")?;
    let rows = statement.query_map([], |row| {
        let archived_at = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis);
        let name = ModelName { newest: row.get(1)?, archived_at };
        Ok(ModelNameRow { name: row.get(0)?, row: name })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
