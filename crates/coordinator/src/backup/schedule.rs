//! Scheduled backups.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{BackupError, NAME_AFFIXES, Source, file_name};
use crate::access::caller::Caller;
use crate::clock;
use crate::crash_points::{CrashPoint, CrashPoints};
use crate::driver::DriverHandle;

/// Delay after a failed backup, unless the next one is due earlier.
const RETRY: Duration = Duration::from_mins(15);
/// Name prefix of a backup that is being written.
const TEMPORARY_PREFIX: &str = ".constellation-";

/// Schedule of the coordinator's backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    pub folder: PathBuf,
    /// Time between two backups, also across restarts.
    pub every: Duration,
    /// Number of backups to keep, at least 1. Older ones are removed after a new one is complete.
    pub keep: usize,
}

/// State of the scheduled backups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct ScheduleState {
    /// Folder of the backups; absent if none are scheduled.
    pub(crate) folder: Option<String>,
    /// Last complete backup.
    pub(crate) last: Option<BackupOutcome>,
    /// Error of the last attempt; absent if it succeeded.
    pub(crate) failure: Option<String>,
    pub(crate) next_at: Option<Timestamp>,
}

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BackupOutcome {
    pub(crate) at: Timestamp,
    /// File name in the backups' folder.
    pub(crate) file: String,
    pub(crate) bytes: u64,
}

/// Task that makes the scheduled backups.
#[derive(Debug)]
pub(crate) struct Scheduled {
    schedule: BackupSchedule,
    source: Source,
    driver: DriverHandle,
    points: CrashPoints,
}

impl Scheduled {
    pub(crate) fn new(
        schedule: BackupSchedule,
        source: Source,
        driver: DriverHandle,
        points: CrashPoints,
    ) -> Self {
        Self { schedule, source, driver, points }
    }

    /// Makes backups until `stopping` is cancelled, and reports their state in `state`.
    pub(crate) async fn run(self, state: &Mutex<ScheduleState>, stopping: CancellationToken) {
        let this = std::sync::Arc::new(self);
        let set = |change: &dyn Fn(&mut ScheduleState)| {
            change(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let folder = this.schedule.folder.display().to_string();
        set(&|state| state.folder = Some(folder.clone()));
        let mut wait = this.until_due();
        loop {
            set(&|state| state.next_at = Some(clock::now().after(wait)));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stopping.cancelled() => return,
            }
            let worker = this.clone();
            let made = tokio::task::spawn_blocking(move || worker.make(clock::now())).await;
            let made = made.unwrap_or_else(|error| Err(BackupError::Broken(error.to_string())));
            wait = match made {
                Ok(made) => {
                    tracing::info!(
                        file = made.file,
                        bytes = made.bytes,
                        "a scheduled backup was made"
                    );
                    this.audit(&made).await;
                    this.notify(None).await;
                    set(&|state| {
                        state.last = Some(made.clone());
                        state.failure = None;
                    });
                    this.schedule.every
                }
                Err(error) => {
                    tracing::error!(%error, folder, "the scheduled backup failed");
                    this.notify(Some(format!("the scheduled backup to {folder} failed: {error}")))
                        .await;
                    set(&|state| state.failure = Some(error.to_string()));
                    this.schedule.every.min(RETRY)
                }
            };
        }
    }

    /// Adds the backup to the audit log.
    async fn audit(&self, made: &BackupOutcome) {
        let caller = Caller::coordinator();
        let written =
            self.driver.audited(&caller).backup_written(made.file.clone(), made.bytes).await;
        if let Err(error) = written {
            tracing::warn!(%error, "the backup could not be added to the audit log");
        }
    }

    /// Raises a notice while backups fail, and ends it when one succeeds.
    async fn notify(&self, failure: Option<String>) {
        if let Err(error) = self.driver.backup_failing(failure).await {
            tracing::warn!(%error, "the notice about the scheduled backup could not be stored");
        }
    }

    /// Returns the time until the next backup is due, by the age of the newest one in the folder.
    fn until_due(&self) -> Duration {
        let newest = backups(&self.schedule.folder).ok().and_then(|found| found.into_iter().max());
        let age = newest.and_then(|(at, _)| at.elapsed().ok());
        age.map_or(Duration::ZERO, |age| self.schedule.every.saturating_sub(age))
    }

    fn make(&self, now: Timestamp) -> Result<BackupOutcome, BackupError> {
        let folder = &self.schedule.folder;
        fs::create_dir_all(folder).map_err(BackupError::at(folder))?;
        remove_unfinished(folder).map_err(BackupError::at(folder))?;
        let backup = self.source.take(now)?;
        self.points.pass(CrashPoint::BackupTaken);
        // Temporary files are readable by their owner only, and the backup keeps that mode.
        let file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(folder);
        let mut file = file.map_err(BackupError::at(folder))?;
        backup.write(&mut io::BufWriter::with_capacity(1 << 20, file.as_file_mut()))?;
        self.points.pass(CrashPoint::BackupWritten);
        file.as_file().sync_all().map_err(BackupError::at(folder))?;
        let name = file_name(now);
        let path = folder.join(&name);
        file.persist(&path).map_err(|error| BackupError::at(&path)(error.error))?;
        self.points.pass(CrashPoint::BackupPlaced);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::at(folder))?;
        self.prune().map_err(BackupError::at(folder))?;
        Ok(BackupOutcome { at: now, file: name, bytes: backup.length() })
    }

    /// Removes the oldest backups beyond the number to keep.
    fn prune(&self) -> io::Result<()> {
        let mut found = backups(&self.schedule.folder)?;
        found.sort();
        let surplus = found.len().saturating_sub(self.schedule.keep.max(1));
        found.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Returns the backups in the folder, each with its modification time.
fn backups(folder: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours = name
            .to_str()
            .is_some_and(|name| name.starts_with(NAME_AFFIXES.0) && name.ends_with(NAME_AFFIXES.1));
        if is_ours {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(found)
}

/// Removes unfinished backups of a process that died.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
