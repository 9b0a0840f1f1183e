//! Tables of the lease records and of the daily totals.

use protocol::lease::LeaseOutcome;
use protocol::{DeviceId, JobId, LeaseId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::lease_rows::{DayRow, LeaseRow, MOST_LEASES};
use super::values::{json, parsed, read, sqlite_integer, texts};
use super::{Batch, Reader, Store, StoreError};

impl Store {
    /// Returns a lease's record.
    pub(crate) fn lease(&self, job: JobId, id: LeaseId) -> Result<Option<LeaseRow>, StoreError> {
        let record: Option<String> = self
            .connection
            .prepare_cached("SELECT record FROM leases WHERE job = ?1 AND id = ?2")?
            .query_row((job.to_string(), id.to_string()), |row| row.get(0))
            .optional()?;
        record.map(|record| Ok(LeaseRow { job, record: read("lease", &record)? })).transpose()
    }
}

impl Reader {
    /// Returns the newest leases of a job that were granted since `oldest` and granted or ended at
    /// `after` or later, sorted from old to new.
    pub(crate) fn leases(
        &self,
        job: JobId,
        oldest: Timestamp,
        after: Timestamp,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT job, record FROM leases WHERE job = ?1 AND granted_at >= ?2
                 AND (granted_at >= ?3 OR ended_at >= ?3)
                 ORDER BY id DESC LIMIT ?4",
            )?;
            let values = params![
                job.to_string(),
                oldest.as_millis(),
                after.as_millis(),
                sqlite_integer(MOST_LEASES)
            ];
            let mut rows = statement
                .query_map(values, texts)?
                .map(|row| lease_row(&row?))
                .collect::<Result<Vec<_>, _>>()?;
            rows.reverse();
            Ok(rows)
        })
    }

    /// Returns the newest leases of a device, at most `limit`, that were granted since `oldest` and granted
    /// or ended at `after` or later, sorted from old to new.
    pub(crate) fn leases_of_device(
        &self,
        device: DeviceId,
        oldest: Timestamp,
        after: Timestamp,
        limit: u64,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT job, record FROM leases
                 WHERE device = ?1 AND granted_at >= ?2
                 AND (granted_at >= ?3 OR ended_at >= ?3)
                 ORDER BY granted_at DESC, id DESC LIMIT ?4",
            )?;
            let values = params![
                device.to_string(),
                oldest.as_millis(),
                after.as_millis(),
                sqlite_integer(limit.min(MOST_LEASES))
            ];
            let mut rows = statement
                .query_map(values, texts)?
                .map(|row| lease_row(&row?))
                .collect::<Result<Vec<_>, _>>()?;
            rows.reverse();
            Ok(rows)
        })
    }

    /// Returns the days from this date on.
    pub(crate) fn days(&self, from: &str) -> Result<Vec<DayRow>, StoreError> {
        self.with(|connection| days(connection, from))
    }
}

/// Returns the stored records of leases that are held: those that lapsed and were renewed, and those
/// that version 5 granted.
pub(super) fn open(connection: &Connection) -> Result<Vec<LeaseRow>, StoreError> {
    let mut statement = connection.prepare("SELECT job, record FROM leases WHERE outcome = ?1")?;
    let rows = statement.query_map([LeaseOutcome::Open.word()], texts)?;
    rows.map(|row| lease_row(&row?)).collect()
}

fn lease_row((job, record): &(String, String)) -> Result<LeaseRow, StoreError> {
    Ok(LeaseRow { job: parsed("lease", job)?, record: read("lease", record)? })
}

pub(super) fn days(connection: &Connection, from: &str) -> Result<Vec<DayRow>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT date, record FROM days WHERE date >= ?1 ORDER BY date")?;
    let rows = statement.query_map([from], texts)?;
    rows.map(|row| {
        let (date, record) = row?;
        Ok(DayRow { date, day: read("day", &record)? })
    })
    .collect()
}

/// Writes the lease records and days of a batch, and removes what its trim names.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    for LeaseRow { job, record } in &batch.leases {
        transaction
            .prepare_cached(
                "INSERT INTO leases (job, id, granted_at, ended_at, outcome, record, device)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (job, id) DO UPDATE SET
                 ended_at = excluded.ended_at, outcome = excluded.outcome, record = excluded.record",
            )?
            .execute(params![
                job.to_string(),
                record.id.to_string(),
                record.granted_at.as_millis(),
                record.ended_at.map(Timestamp::as_millis),
                record.outcome.word(),
                json("lease", record)?,
                record.device.to_string()
            ])?;
    }
    for DayRow { date, day } in &batch.days {
        transaction
            .prepare_cached(
                "INSERT INTO days VALUES (?1, ?2)
                 ON CONFLICT (date) DO UPDATE SET record = excluded.record",
            )?
            .execute((date, json("day", day)?))?;
    }
    let Some(trim) = &batch.trim else { return Ok(()) };
    transaction.execute("DELETE FROM leases WHERE granted_at < ?1", [trim.before.as_millis()])?;
    transaction.execute("DELETE FROM days WHERE date < ?1", [&trim.date])?;
    for job in &trim.jobs {
        transaction
            .prepare_cached(
                "DELETE FROM leases WHERE job = ?1 AND outcome <> ?3 AND id <=
                 (SELECT id FROM leases WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute((job.to_string(), sqlite_integer(MOST_LEASES), LeaseOutcome::Open.word()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use protocol::lease::LeaseRecord;

    use crate::store::lease_rows::{Day, Trim};
    use crate::store::values::unsigned;

    fn lease(job: u128, number: u64, outcome: LeaseOutcome) -> LeaseRow {
        let granted_at = Timestamp::from_millis(i64::try_from(number).unwrap() * 1000);
        let record = LeaseRecord {
            id: LeaseId::from_uuid(Uuid::from_u128(u128::from(number))),
            device: DeviceId::from_uuid(Uuid::from_u128(1)),
            device_name: "a Mac".to_owned(),
            round: 1,
            partition: 0,
            granted_at,
            ended_at: (outcome != LeaseOutcome::Open).then_some(granted_at),
            outcome,
            reason: None,
            steps: 0,
            examples: 0,
        };
        LeaseRow { job: JobId::from_uuid(Uuid::from_u128(job)), record }
    }

    #[test]
    fn a_trim_keeps_the_newest_leases_of_a_job_and_open_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut store = Store::open(&path).unwrap();
        let reader = Reader::new(&path);
        let reported = |number| lease(1, number, LeaseOutcome::Reported);
        let mut leases: Vec<LeaseRow> = (2..=MOST_LEASES + 10).map(reported).collect();
        leases.push(lease(1, 1, LeaseOutcome::Open));
        leases.push(lease(2, 5000, LeaseOutcome::Reported));
        let day = |date: &str| DayRow { date: date.to_owned(), day: Day::default() };
        let days = vec![day("2026-10-24"), day("2026-10-25")];
        store.commit(&Batch { leases, days, ..Batch::default() }).unwrap();

        let job = JobId::from_uuid(Uuid::from_u128(1));
        let since = |oldest| {
            let leases = reader.leases(job, Timestamp::from_millis(oldest), Timestamp::default());
            leases
                .unwrap()
                .iter()
                .map(|it| it.record.granted_at.as_millis() / 1000)
                .collect::<Vec<_>>()
        };
        let newest: Vec<i64> = (11..=2010).collect();
        assert_eq!(since(0), newest, "the newest leases, sorted from old to new");
        let trim = |before, jobs| Trim {
            before: Timestamp::from_millis(before),
            jobs,
            date: "2026-10-25".to_owned(),
        };
        let commit = |store: &mut Store, trim| {
            store.commit(&Batch { trim: Some(trim), ..Batch::default() }).unwrap();
        };
        commit(&mut store, trim(0, vec![job]));
        assert_eq!(reader.days("").unwrap(), [day("2026-10-25")]);
        let count = |store: &Store| -> u64 {
            let query = "SELECT count(*) FROM leases";
            unsigned(store.connection.query_row(query, [], |row| row.get(0)).unwrap())
        };
        // The newest ones, the open one, and the other job's.
        assert_eq!(count(&store), MOST_LEASES + 2);
        let open = store.load("").unwrap().leases;
        assert_eq!(open, [lease(1, 1, LeaseOutcome::Open)]);
        commit(&mut store, trim(2_010_000, Vec::new()));
        assert_eq!((since(0), count(&store)), (vec![2010], 2));
        assert_eq!(since(2_010_001), [0; 0]);
    }
}
