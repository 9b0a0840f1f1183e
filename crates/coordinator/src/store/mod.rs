//! Database: all durable state except the bytes of blobs. The driver owns the only writer; there
//! are several readers. No other module depends on SQLite.

mod audit;
mod join_codes;
mod leases;
mod machines;
mod migrations;
mod notifications;
mod reader;
mod rows;
mod secrets;
mod sessions;
mod snapshot;
#[cfg(test)]
mod tests;
mod triggers;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use protocol::api::Change;
use protocol::audit::{Chain, Record};
use protocol::{DeviceId, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use serde::de::DeserializeOwned;

use crate::crash_points::CrashPoints;

pub(crate) use audit::MOST_ENTRIES;
pub(crate) use leases::{Day, DayRow, LeaseRow, MOST_LEASES, Trim};
pub(crate) use migrations::KNOWN_VERSION;
pub(crate) use notifications::{
    DeliveryRow, NotificationRow, StoredNotifications, WebhookRow, WebhookTarget,
};
pub(crate) use reader::Reader;
pub(crate) use rows::{
    DeviceNote, DeviceRow, JobChanges, JobRow, JoinCodeRow, ModelRow, RefusedUpdate, TokenRow,
};
pub(crate) use secrets::password_row;
pub(crate) use sessions::SessionRow;
pub(crate) use snapshot::adopt;

use crate::access::credential::CredentialKind;

/// Number of revisions for which changes are kept. Clients with older revisions start again.
const KEPT_REVISIONS: u64 = 10_000;

/// Error when reading or writing the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the disk is full: free some space; nothing that was acknowledged is lost")]
    Full,
    #[error(
        "the database has version {found}, but this program knows versions up to {known}: start \
         the newer Constellation that wrote it, or give another --data-dir"
    )]
    Newer { found: u32, known: u32 },
    #[error("database error: {0}")]
    Sqlite(String),
    #[error("a {what} in the database can't be read: {reason}")]
    Unreadable { what: &'static str, reason: String },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // On a full disk, the shared-memory file of the WAL can't grow either.
        let shared_memory = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
        match error.sqlite_error() {
            Some(code) if code.code == ErrorCode::DiskFull => Self::Full,
            Some(code) if code.extended_code == shared_memory => Self::Full,
            Some(_) | None => Self::Sqlite(error.to_string()),
        }
    }
}

/// Times of last use of credentials, by id.
pub(crate) type Uses = BTreeMap<(CredentialKind, String), Timestamp>;

/// Contents of an atomic commit.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<JobChanges>,
    pub(crate) devices: Vec<DeviceRow>,
    /// Removed devices, whose tokens are removed too.
    pub(crate) removed_devices: Vec<DeviceId>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) removed_tokens: Vec<String>,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) removed_sessions: Vec<String>,
    /// Times of last use of credentials.
    pub(crate) uses: Uses,
    pub(crate) join_codes: Vec<JoinCodeRow>,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) telling: Vec<NotificationRow>,
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) days: Vec<DayRow>,
    /// Lease records to remove.
    pub(crate) trim: Option<Trim>,
    /// Events to publish.
    pub(crate) changes: Vec<Change>,
    /// Audit log entries.
    pub(crate) audit: Vec<Record>,
}

/// State that the driver keeps in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) cluster_id: String,
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) devices: Vec<DeviceRow>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) join_codes: Vec<JoinCodeRow>,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) told: StoredNotifications,
    /// Held leases.
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) days: Vec<DayRow>,
}

/// Writer of the database.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    revision: u64,
    /// Last entry of the audit log.
    chain: Chain,
    points: CrashPoints,
}

impl Store {
    /// Opens and migrates the database at `path`. Creates it if missing.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Overwrites deleted data if that needs no additional page writes.
        connection.pragma_update(None, "secure_delete", "FAST")?;
        migrations::migrate(&mut connection, path)?;
        let revision = reader::revision(&connection)?;
        let chain = audit::chain(&connection)?;
        Ok(Self { connection, revision, chain, points: CrashPoints::default() })
    }

    /// Sets the crash points to report.
    pub(crate) fn with_points(self, points: CrashPoints) -> Self {
        Self { points, ..self }
    }

    /// Returns the newest revision.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the cluster's id. Sets it to `new_cluster_id` if there is none yet.
    pub(crate) fn cluster_id(&self, new_cluster_id: &str) -> Result<String, StoreError> {
        self.connection.execute(
            "INSERT INTO meta VALUES ('cluster_id', ?1) ON CONFLICT DO NOTHING",
            [new_cluster_id],
        )?;
        let cluster_id: Option<String> = self
            .connection
            .query_row("SELECT value FROM meta WHERE key = 'cluster_id'", [], |row| row.get(0))
            .optional()?;
        Ok(cluster_id.unwrap_or_else(|| new_cluster_id.to_owned()))
    }

    /// Returns the number of enrolled devices.
    pub(crate) fn device_count(&self) -> Result<usize, StoreError> {
        let query = "SELECT count(*) FROM devices";
        let count: u32 = self.connection.query_row(query, [], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Reads the whole state. Sets the cluster's id to `new_cluster_id` if there is none yet.
    pub(crate) fn load(&self, new_cluster_id: &str) -> Result<Loaded, StoreError> {
        Ok(Loaded {
            cluster_id: self.cluster_id(new_cluster_id)?,
            jobs: machines::read_all(&self.connection)?,
            devices: self.devices()?,
            tokens: reader::tokens(&self.connection)?,
            sessions: sessions::sessions(&self.connection)?,
            join_codes: join_codes::read_all(&self.connection)?,
            models: reader::models(&self.connection)?,
            told: notifications::told(&self.connection)?,
            leases: leases::open(&self.connection)?,
            days: leases::days(&self.connection, "")?,
        })
    }

    fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        let mut statement = self.connection.prepare("SELECT record FROM devices ORDER BY id")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.map(|row| read("device", &row?)).collect()
    }
}

/// Parses a value from JSON.
fn read<T: DeserializeOwned>(what: &'static str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json)
        .map_err(|error| StoreError::Unreadable { what, reason: error.to_string() })
}

/// Parses a value from text.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Unreadable { what, reason: error.to_string() })
}
