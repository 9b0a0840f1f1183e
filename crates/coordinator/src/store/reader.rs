//! Read access beside the writer, for data that the API shows and the driver doesn't keep in memory.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use protocol::Timestamp;
use protocol::api::{Change, ChangeKind, Events, Model, Role};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use super::rows::{JoinCodeRow, ModelRow, TokenRow};
use super::values::{kind_word, sqlite_integer, texts, unsigned};
use super::values::{parsed, read};
use super::{Store, StoreError};

/// Pool of read-only connections; each call takes one. Calls block while SQLite reads.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Maximum number of idle connections that stay open.
const MAXIMUM_IDLE_CONNECTIONS: usize = 4;

impl Reader {
    /// Returns a reader of the database at `path`. The writer must have opened it before.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::new(Vec::new()) }
    }

    /// Returns what changed after revision `after`, up to revision `published`. A commit can be read here before its
    /// snapshots are published: a client that was told of it then would read the old ones and never ask again.
    pub(crate) fn events(&self, after: u64, published: u64) -> Result<Events, StoreError> {
        self.with(|connection| events(connection, after, published))
    }

    /// Returns every registered model, sorted by name and version.
    pub(crate) fn models(&self) -> Result<Vec<ModelRow>, StoreError> {
        self.with(models)
    }

    /// Returns a version of a model, or the newest version if none is given.
    pub(crate) fn model(
        &self,
        name: &str,
        version: Option<u32>,
    ) -> Result<Option<ModelRow>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT m.model, m.card, n.archived_at FROM models m
                 LEFT JOIN model_names n ON n.name = m.name
                 WHERE m.name = ?1 AND (?2 IS NULL OR m.version = ?2)
                 ORDER BY m.version DESC LIMIT 1",
            )?;
            let found = statement.query_row((name, version), model_columns).optional()?;
            found.map(model_row).transpose()
        })
    }

    /// Returns every token except those of devices.
    pub(crate) fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let mut rows = self.with(tokens)?;
        rows.retain(|row| row.role != Role::Device);
        Ok(rows)
    }

    /// Returns every join code, the oldest first.
    pub(crate) fn join_codes(&self) -> Result<Vec<JoinCodeRow>, StoreError> {
        self.with(super::join_codes::read_all)
    }

    /// Runs `work` with a connection of the pool.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::open_with_flags(
                &self.path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?,
        };
        let result = work(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAXIMUM_IDLE_CONNECTIONS {
            idle.push(connection);
        }
        result
    }
}

/// Returns the newest revision; 0 before the first change.
pub(super) fn revision(connection: &Connection) -> Result<u64, StoreError> {
    let newest: Option<i64> =
        connection.query_row("SELECT max(revision) FROM changes", [], |row| row.get(0))?;
    Ok(unsigned(newest.unwrap_or(0)))
}

fn events(connection: &Connection, after: u64, published: u64) -> Result<Events, StoreError> {
    let (oldest, newest): (Option<i64>, Option<i64>) =
        connection.query_row("SELECT min(revision), max(revision) FROM changes", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let (oldest, revision) = (unsigned(oldest.unwrap_or(1)), unsigned(newest.unwrap_or(0)));
    // A later revision than ours belongs to another database or precedes a restored backup.
    if after > revision || after + 1 < oldest {
        return Ok(Events { revision, changes: Vec::new(), reset: true });
    }
    let mut statement = connection.prepare_cached(
        "SELECT kind, id, max(revision) AS latest FROM changes WHERE revision > ?1 AND revision <= ?2
         GROUP BY kind, id ORDER BY latest",
    )?;
    let rows = statement.query_map([after, published].map(sqlite_integer), texts)?;
    let changes = rows
        .map(|row| {
            let (kind, id) = row?;
            Ok(Change { kind: kind_from(&kind)?, id })
        })
        .collect::<Result<_, StoreError>>()?;
    // The answer's revision never falls behind the question's.
    Ok(Events { revision: revision.min(published).max(after), changes, reset: false })
}

pub(super) fn models(connection: &Connection) -> Result<Vec<ModelRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT m.model, m.card, n.archived_at FROM models m
         LEFT JOIN model_names n ON n.name = m.name ORDER BY m.name, m.version",
    )?;
    let rows = statement.query_map([], model_columns)?;
    rows.map(|row| model_row(row?)).collect()
}

impl Store {
    /// Returns every version of a model.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<ModelRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT m.model, m.card, n.archived_at FROM models m
             LEFT JOIN model_names n ON n.name = m.name WHERE m.name = ?1",
        )?;
        let rows = statement.query_map([name], model_columns)?;
        rows.map(|row| model_row(row?)).collect()
    }

    /// Returns every version of every model.
    pub(crate) fn models(&self) -> Result<Vec<ModelRow>, StoreError> {
        models(&self.connection)
    }
}

pub(super) fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, hash, role, name, device, created_at, expires_at, last_used
         FROM tokens ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([], |row| {
        let device: Option<String> = row.get(4)?;
        let (id, hash, role, name) =
            (row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?);
        Ok((
            TokenRow {
                id,
                hash,
                role: Role::Viewer,
                name,
                device: None,
                created_at: Timestamp::from_millis(row.get(5)?),
                expires_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
                last_used: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
            },
            role,
            device,
        ))
    })?;
    rows.map(|row| {
        let (token, role, device) = row?;
        let device = device.map(|device| parsed("token", &device)).transpose()?;
        Ok(TokenRow { role: parsed("token", &role)?, device, ..token })
    })
    .collect()
}

type ModelColumns = (String, String, Option<i64>);

fn model_columns(row: &Row<'_>) -> Result<ModelColumns, rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// Whether a model is archived is stored with its name.
fn model_row((model, card, archived_at): ModelColumns) -> Result<ModelRow, StoreError> {
    let model = Model { archived: archived_at.is_some(), ..read("model", &model)? };
    Ok(ModelRow { model, card: read("model card", &card)? })
}

fn kind_from(word: &str) -> Result<ChangeKind, StoreError> {
    [
        ChangeKind::Job,
        ChangeKind::Device,
        ChangeKind::Model,
        ChangeKind::Dataset,
        ChangeKind::JoinCode,
        ChangeKind::Notice,
    ]
    .into_iter()
    .find(|kind| kind_word(*kind) == word)
    .ok_or_else(|| StoreError::Unreadable { what: "change", reason: format!("kind '{word}'") })
}
