//! Error of the database.

use rusqlite::ErrorCode;

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
