//! Memory budget of trainers: the device's limit, halved for a day after each abnormal end of a trainer.
//! A machine that ran out of memory then takes smaller leases instead of failing the same one again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

const FILE: &str = "memory.json";
/// Default limit: the machine's memory divided by this. The rest is left to the owner's programs.
const SHARE: u64 = 2;
/// Lower bound of a halved budget, in bytes. Work of this size does not exhaust a machine's memory.
const FLOOR: u64 = 1 << 30;
/// Time after which one halving is undone.
const RECOVERY: Duration = Duration::from_hours(24);
/// Tolerance when two boot times are compared: clock corrections shift them by less.
const SAME_BOOT: Duration = Duration::from_mins(1);

/// Memory budget of the trainers on this device.
#[derive(Debug)]
pub(crate) struct Budget {
    file: PathBuf,
    /// Bytes.
    limit: u64,
    state: BudgetState,
}

/// State of the budget that outlives the worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct BudgetState {
    halvings: u32,
    /// Time of the last halving.
    #[serde(default)]
    since: Timestamp,
    /// Boot time of the machine while a trainer runs. If it differs from the boot time at the next
    /// start of the worker, the machine went down while training.
    #[serde(default)]
    at_work: Option<Timestamp>,
}

/// Error for a lease that needs more memory than the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the work needs about {} of memory and a trainer may use {}{}; raise MaximumMemoryGB, or lower \
     the job's batch size",
    gigabytes(*needed),
    gigabytes(*allowed),
    if *.halved { " (reduced for a day, because a trainer ended abnormally)" } else { "" }
)]
pub(crate) struct Shortage {
    needed: u64,
    allowed: u64,
    halved: bool,
}

impl Budget {
    /// Reads the budget kept in `folder`. `maximum` is the limit in bytes that the settings give.
    pub(crate) fn open(folder: &Path, maximum: Option<u64>) -> Self {
        let limit = maximum.unwrap_or_else(|| platform::memory::installed() / SHARE);
        let mut budget = Self::read(folder, limit);
        if budget.went_down(boot_time()) {
            budget.halve(now());
        }
        budget
    }

    fn read(folder: &Path, limit: u64) -> Self {
        let file = folder.join(FILE);
        // A missing or damaged file counts as no earlier abnormal end.
        let state = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file, limit, state: state.unwrap_or_default() }
    }

    /// Bytes that a trainer may use now.
    pub(crate) fn bytes(&self) -> u64 {
        self.at(now())
    }

    fn at(&self, now: Timestamp) -> u64 {
        let halved = self.limit.checked_shr(self.halvings(now)).unwrap_or(0);
        halved.max(FLOOR.min(self.limit))
    }

    fn halvings(&self, now: Timestamp) -> u32 {
        let undone = now.since(self.state.since).as_secs() / RECOVERY.as_secs();
        self.state.halvings.saturating_sub(u32::try_from(undone).unwrap_or(u32::MAX))
    }

    /// Checks that work that needs this many bytes fits into the budget.
    pub(crate) fn admit(&self, needed: u64) -> Result<(), Shortage> {
        let (allowed, halved) = (self.bytes(), self.halvings(now()) > 0);
        if needed <= allowed { Ok(()) } else { Err(Shortage { needed, allowed, halved }) }
    }

    /// Records whether a trainer is running.
    pub(crate) fn set_training(&mut self, training: bool) {
        let at_work = training.then(boot_time);
        if self.state.at_work.is_some() != at_work.is_some() {
            self.save(BudgetState { at_work, ..self.state });
        }
    }

    /// Halves the budget after an abnormal end of a trainer.
    pub(crate) fn halve_now(&mut self) {
        self.halve(now());
    }

    fn halve(&mut self, now: Timestamp) {
        let halvings = self.halvings(now).saturating_add(1);
        self.save(BudgetState { halvings, since: now, at_work: None });
    }

    /// Whether the machine went down while a trainer was running.
    fn went_down(&self, boot_time: Timestamp) -> bool {
        self.state.at_work.is_some_and(|recorded| boot_time.since(recorded) > SAME_BOOT)
    }

    /// Message for the machine's owner while the budget is below its limit.
    pub(crate) fn limit_message(&self) -> Option<String> {
        self.limit_message_at(now())
    }

    fn limit_message_at(&self, now: Timestamp) -> Option<String> {
        let (allowed, limit) = (self.at(now), self.limit);
        (allowed < limit).then(|| {
            format!(
                "Training ended abnormally. For a day it may use {} of memory instead of {}.",
                gigabytes(allowed),
                gigabytes(limit)
            )
        })
    }

    fn save(&mut self, state: BudgetState) {
        self.state = state;
        let bytes = serde_json::to_vec(&state).unwrap_or_default();
        if let Err(error) = platform::files::write_private(&self.file, &bytes) {
            tracing::warn!(%error, "can't save the memory budget; it is lost when the worker stops");
        }
    }
}

/// Removes the kept budget from a data folder.
pub(crate) fn forget(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn now() -> Timestamp {
    timestamp(SystemTime::now())
}

fn boot_time() -> Timestamp {
    timestamp(UNIX_EPOCH + platform::system::boot_time())
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::default().after(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn later(hours: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_hours(1000 + hours))
    }

    #[test]
    fn each_abnormal_end_halves_the_budget_and_each_day_undoes_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut budget = Budget::read(folder.path(), 8 * GIB);
        assert_eq!(budget.at(later(0)), 8 * GIB);
        assert_eq!(budget.limit_message_at(later(0)), None);
        budget.halve(later(0));
        budget.halve(later(1));
        assert_eq!(budget.at(later(1)), 2 * GIB);
        let message = budget.limit_message_at(later(1)).unwrap();
        assert!(message.ends_with("2.1 GB of memory instead of 8.6 GB."), "{message}");
        let reread = Budget::read(folder.path(), 8 * GIB);
        assert_eq!([24, 25, 49].map(|hours| reread.at(later(hours)) / GIB), [2, 4, 8]);
        for _ in 0..70 {
            budget.halve(later(2));
        }
        assert_eq!(budget.at(later(2)), GIB, "the budget never falls below the floor");
        let small = Budget { limit: GIB / 2, ..budget };
        assert_eq!(small.at(later(2)), GIB / 2, "a limit below the floor counts");
    }

    #[test]
    fn a_machine_that_went_down_while_training_counts_as_an_abnormal_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut budget = Budget::read(folder.path(), 8 * GIB);
        budget.set_training(true);
        let reread = Budget::read(folder.path(), 8 * GIB);
        assert!(!reread.went_down(boot_time()), "only the process ended");
        assert!(reread.went_down(boot_time().after(Duration::from_hours(1))));
        budget.set_training(false);
        let reread = Budget::read(folder.path(), 8 * GIB);
        assert!(!reread.went_down(boot_time().after(Duration::from_hours(1))));
    }

    #[test]
    fn work_beyond_the_budget_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let budget = Budget::read(folder.path(), 2_000_000_000);
        assert_eq!(budget.admit(2_000_000_000), Ok(()));
        let message = budget.admit(3_240_000_000).unwrap_err().to_string();
        assert!(
            message
                .starts_with("the work needs about 3.2 GB of memory and a trainer may use 2.0 GB;")
        );
        let mut halved = Budget::read(folder.path(), 4 * GIB);
        halved.halve_now();
        let message = halved.admit(3 * GIB).unwrap_err().to_string();
        assert!(message.contains("ended abnormally"), "{message}");
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Budget::read(folder.path(), GIB).state, BudgetState::default());
    }
}
