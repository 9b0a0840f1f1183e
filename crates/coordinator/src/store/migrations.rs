//! Schema migrations. `PRAGMA user_version` is the version of a file.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::{StoreError, machines, secrets, triggers};

/// Schema version that this program writes.
pub(crate) const KNOWN_VERSION: u32 = 7;

/// One migration for each version. Only the last one may change, and only until it is released:
/// databases of earlier versions exist (`tests/coordinator/version_1.sql` is one).
const STEPS: [Step; KNOWN_VERSION as usize] = [
    |transaction| Ok(transaction.execute_batch(VERSION_1)?),
    |transaction| {
        transaction.execute_batch(VERSION_2)?;
        Ok(transaction.execute_batch(triggers::AUDIT)?)
    },
    |transaction| Ok(transaction.execute_batch(VERSION_3)?),
    |transaction| Ok(transaction.execute_batch(VERSION_4)?),
    |transaction| Ok(transaction.execute_batch(VERSION_5)?),
    |transaction| {
        transaction.execute_batch(VERSION_6)?;
        machines::split_documents(transaction)?;
        Ok(transaction.execute_batch("ALTER TABLE jobs DROP COLUMN machine")?)
    },
    |transaction| Ok(transaction.execute_batch(VERSION_7)?),
];

type Step = fn(&Transaction<'_>) -> Result<(), StoreError>;

const VERSION_1: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        spec TEXT NOT NULL,
        machine TEXT NOT NULL
    ) STRICT;
    CREATE TABLE devices (
        id TEXT PRIMARY KEY,
        hardware_id TEXT NOT NULL,
        instance INTEGER NOT NULL,
        record TEXT NOT NULL,
        UNIQUE (hardware_id, instance)
    ) STRICT;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        device TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE models (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        model TEXT NOT NULL,
        card TEXT NOT NULL,
        UNIQUE (name, version)
    ) STRICT;
    CREATE TABLE changes (
        revision INTEGER NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (revision, kind, id)
    ) STRICT, WITHOUT ROWID;
";

const VERSION_2: &str = "
    -- Join codes take the place of join tokens.
    DELETE FROM tokens WHERE role = 'join';
    -- Devices of version 1 know no pin of the cluster's: they enroll again.
    DELETE FROM tokens WHERE role = 'device';
    DELETE FROM devices;
    ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
    ALTER TABLE tokens ADD COLUMN last_used INTEGER;
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        from_address TEXT,
        created_at INTEGER NOT NULL,
        last_used INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE join_codes (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        hint TEXT NOT NULL UNIQUE,
        proof BLOB NOT NULL UNIQUE,
        password BLOB NOT NULL,
        uses INTEGER NOT NULL,
        maximum_uses INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        revoked INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE notices (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE webhooks (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE deliveries (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        role TEXT,
        from_address TEXT,
        action TEXT NOT NULL,
        subject_kind TEXT NOT NULL,
        subject_id TEXT NOT NULL,
        detail TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT;
";

const VERSION_3: &str = "
    -- What is kept of leases; their ids are in the order of their grants.
    CREATE TABLE leases (
        job TEXT NOT NULL,
        id TEXT NOT NULL,
        granted_at INTEGER NOT NULL,
        ended_at INTEGER,
        outcome TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job, id)
    ) STRICT, WITHOUT ROWID;
    -- What updates that counted add up to, by day.
    CREATE TABLE days (date TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX audit_by_subject ON audit (subject_kind, subject_id);
";

const VERSION_4: &str = "
    CREATE INDEX leases_by_device ON leases (record ->> '$.device', granted_at);
    ALTER TABLE jobs ADD COLUMN created_by TEXT;
    -- The audit log knew it all along.
    UPDATE jobs SET created_by = (
        SELECT who FROM audit
        WHERE subject_kind = 'job' AND subject_id = jobs.id AND action = 'created'
        ORDER BY number LIMIT 1
    );
";

const VERSION_5: &str = "
    -- A machine may have a record that waits for approval beside its own.
    CREATE TABLE approved (
        id TEXT PRIMARY KEY,
        hardware_id TEXT NOT NULL,
        instance INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    INSERT INTO approved SELECT id, hardware_id, instance, record FROM devices;
    DROP TABLE devices;
    ALTER TABLE approved RENAME TO devices;
    -- Passwords of join codes, and webhooks, are encrypted from now on: see secrets.rs.
";

/// From here on, the SQL keeps to what other databases have too.
const VERSION_6: &str = "
    -- The state of a job changes row by row: see machines.rs.
    CREATE TABLE machines (job TEXT PRIMARY KEY, head TEXT NOT NULL);
    CREATE TABLE preparations (job TEXT PRIMARY KEY, preparation TEXT NOT NULL);
    -- Seats and leases of the open round, by index and by id.
    CREATE TABLE job_seats (
        job TEXT NOT NULL,
        seat BIGINT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job, seat)
    );
    CREATE TABLE job_leases (
        job TEXT NOT NULL,
        lease TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job, lease)
    );
    -- Leases of earlier rounds, for late updates.
    CREATE TABLE job_past_leases (
        job TEXT NOT NULL,
        lease TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job, lease)
    );
    CREATE TABLE job_rounds (
        job TEXT NOT NULL,
        round BIGINT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job, round)
    );
    CREATE TABLE job_devices (
        job TEXT NOT NULL,
        device TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (job, device)
    );
    -- A column instead of an expression of the record.
    DROP INDEX leases_by_device;
    ALTER TABLE leases ADD COLUMN device TEXT;
    UPDATE leases SET device = record ->> 'device';
    CREATE INDEX leases_by_device ON leases (device, granted_at);
";

const VERSION_7: &str = "
    -- What people change of a job, and the dataset version that it uses.
    CREATE TABLE job_details (
        job TEXT PRIMARY KEY,
        name TEXT,
        archived_at BIGINT,
        dataset TEXT,
        dataset_name TEXT,
        dataset_version BIGINT,
        dataset_deleted BOOLEAN NOT NULL
    );
    CREATE TABLE model_names (name TEXT PRIMARY KEY, newest BIGINT NOT NULL, archived_at BIGINT);
    INSERT INTO model_names SELECT name, max(version), NULL FROM models GROUP BY name;
    -- Uploaded datasets. Their folders become rows at the next start: see datasets/folders.rs.
    CREATE TABLE datasets (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        archived_at BIGINT,
        newest BIGINT NOT NULL
    );
    CREATE TABLE dataset_versions (
        dataset TEXT NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        created_by TEXT,
        info TEXT NOT NULL,
        files TEXT NOT NULL,
        plan TEXT NOT NULL,
        PRIMARY KEY (dataset, version)
    );
    CREATE TABLE dataset_shards (
        dataset TEXT NOT NULL,
        version BIGINT NOT NULL,
        split TEXT NOT NULL,
        blob TEXT NOT NULL,
        bytes BIGINT NOT NULL,
        PRIMARY KEY (dataset, version, split)
    );
";

/// Migrates the database at `path` to this program's version. First copies an old database, without
/// its secrets, to a file beside it with its name and version.
///
/// # Errors
/// [`StoreError::Newer`] if a later program wrote it. It stays unchanged.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > KNOWN_VERSION {
        return Err(StoreError::Newer { found, known: KNOWN_VERSION });
    }
    if found > 0 && found < KNOWN_VERSION {
        keep(connection, path, found)?;
        tracing::info!(from = found, to = KNOWN_VERSION, "migrating the database");
    }
    for (version, step) in (1_u32..).zip(STEPS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction()?;
        step(&transaction)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Copies the database before a migration, under a name that `secrets` recognizes.
fn keep(connection: &Connection, path: &Path, version: u32) -> Result<(), StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".version-{version}"));
    let kept = path.with_file_name(&name);
    name.push(".new");
    let new = path.with_file_name(&name);
    let failed = |error: io::Error| {
        if crate::blobs::is_full(&error) {
            return StoreError::Full;
        }
        StoreError::Sqlite(format!("can't keep a copy in {}: {error}", kept.display()))
    };
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    connection.execute("VACUUM INTO ?1", [new.to_string_lossy()])?;
    secrets::redact(&new)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&new, &kept).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use federation::machine::{Event, Head, MachineRows};
    use protocol::{DeviceId, JobId, LeaseId, Timestamp};
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::store::{Batch, JobChanges, Reader, Store};

    /// Machines as version 5 stored them, and the results of their next events in that version.
    const STORED: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../federation/src/machine/tests/stored/version_5.json"
    ));

    #[derive(Deserialize)]
    struct Stored {
        machine: Value,
        results: Vec<String>,
    }

    /// Returns the number of seconds after the start of those machines.
    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_763_888_400_000).after(Duration::from_secs(seconds))
    }

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u32) -> T {
        format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap()
    }

    /// Creates a database of version 5 with these machines, the jobs 0, 1, …, and a held lease.
    fn database_of_version_5(path: &Path, machines: &BTreeMap<String, Stored>) {
        let mut database = Connection::open(path).unwrap();
        let transaction = database.transaction().unwrap();
        for step in &STEPS[..5] {
            step(&transaction).unwrap();
        }
        for (number, stored) in (0..).zip(machines.values()) {
            let spec = stored.machine["settings"]["spec"].to_string();
            let (job, machine) = (id::<JobId>(number).to_string(), stored.machine.to_string());
            let insert = "INSERT INTO jobs (id, created_at, spec, machine, created_by)
                VALUES (?1, 7, ?2, ?3, 'somebody')";
            transaction.execute(insert, (job, spec, machine)).unwrap();
        }
        let (job, lease) = (id::<JobId>(3).to_string(), id::<LeaseId>(11));
        let record = json!({
            "id": lease, "device": id::<DeviceId>(1), "device_name": "a Mac", "round": 2,
            "partition": 1, "granted_at": at(113), "ended_at": null, "outcome": "open",
            "reason": null, "steps": 0, "examples": 0
        });
        let insert = "INSERT INTO leases VALUES (?1, ?2, ?3, NULL, 'open', ?4)";
        let values = (job, lease.to_string(), at(113).as_millis(), record.to_string());
        transaction.execute(insert, values).unwrap();
        transaction.pragma_update(None, "user_version", 5).unwrap();
        transaction.commit().unwrap();
    }

    #[test]
    fn jobs_of_version_5_continue_from_the_middle_of_a_round() {
        let stored: BTreeMap<String, Stored> = serde_json::from_str(STORED).unwrap();
        let names: Vec<&String> = stored.keys().collect();
        assert_eq!(names, ["cancelled", "paused", "pending", "preparing", "running"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        database_of_version_5(&path, &stored);
        let mut store = Store::open(&path).unwrap();
        let mut jobs = store.load("").unwrap().jobs;
        assert_eq!(jobs.len(), stored.len());
        for ((number, job), stored) in (0..).zip(&mut jobs).zip(stored.values()) {
            assert_eq!((job.id, job.created_at.as_millis()), (id(number), 7));
            assert_eq!(job.created_by.as_deref(), Some("somebody"));
            let head: Head = serde_json::from_value(stored.machine.clone()).unwrap();
            assert_eq!(job.machine, MachineRows::new(head).machine().unwrap());
            // The fixture's results begin with the outstanding effects.
            let heartbeat = Event::Renewed { lease: id(11), device: id(1), bytes: 120 };
            for (number, seconds, event) in
                [(1, 190, Event::Resume), (2, 190, Event::Start), (4, 191, heartbeat)]
            {
                let result = job.machine.handle(at(seconds), event);
                let expected = &stored.results[number];
                assert!(expected.starts_with(&format!("{result:?} ")), "{result:?}: {expected}");
            }
            let changes = vec![JobChanges::from_job(job, false, usize::MAX)];
            store.commit(&Batch { jobs: changes, ..Batch::default() }).unwrap();
        }
        let reader = Reader::new(&path);
        let leases = reader.leases_of_device(id(1), at(0), at(0), 10).unwrap();
        assert_eq!(leases.iter().map(|row| row.record.id).collect::<Vec<_>>(), [id(11)]);
        drop(store);
        let restored = Store::open(&path).unwrap().load("").unwrap().jobs;
        for (job, restored) in jobs.iter().zip(&restored) {
            assert_eq!(job.machine, restored.machine);
        }
        assert!(folder.path().join("db.version-5").exists());
    }
}
