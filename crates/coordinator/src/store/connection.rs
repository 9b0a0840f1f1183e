//! The only connection that writes.

use protocol::audit::Chain;
use rusqlite::Connection;

use crate::crash_points::CrashPoints;

/// Writer of the database.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) connection: Connection,
    pub(super) revision: u64,
    /// Last entry of the audit log.
    pub(super) chain: Chain,
    pub(super) points: CrashPoints,
}

impl Store {
    /// Sets the crash points to report.
    pub(crate) fn with_points(self, points: CrashPoints) -> Self {
        Self { points, ..self }
    }

    /// Returns the newest revision.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }
}
