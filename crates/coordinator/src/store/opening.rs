//! Opens the database and reads the whole state.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::values::read;
use super::{
    DeviceRow, Loaded, Store, StoreError, audit, datasets, details, join_codes, leases, machines,
    migrations, notifications, reader, sessions,
};
use crate::crash_points::CrashPoints;

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
            job_details: details::jobs(&self.connection)?,
            devices: self.devices()?,
            tokens: reader::tokens(&self.connection)?,
            sessions: sessions::sessions(&self.connection)?,
            join_codes: join_codes::read_all(&self.connection)?,
            models: reader::models(&self.connection)?,
            model_names: details::model_names(&self.connection)?,
            datasets: datasets::read_all(&self.connection)?,
            notifications: notifications::read_all(&self.connection)?,
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
