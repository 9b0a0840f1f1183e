//! Schema migrations. `PRAGMA user_version` is the version of a file.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, secrets};

/// Schema version that this program writes.
pub(crate) const KNOWN_VERSION: u32 = 5;

/// One migration for each version. Only the last one may change, and only until it is released:
/// databases of earlier versions exist (`tests/coordinator/version_1.sql` is one).
const STEPS: [&str; KNOWN_VERSION as usize] =
    [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

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
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_in_order BEFORE INSERT ON audit
    WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
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
        transaction.execute_batch(step)?;
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
