//! How much memory trainers may take: the device's limit, and for a day half of it after each
//! abnormal end. A machine that ran out of memory takes a smaller lease next time, and not the same one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

const FILE: &str = "memory.json";
/// Half of the machine's memory where nobody says otherwise: the owner's programs stay in the rest.
const SHARE: u64 = 2;
/// Small work is never refused: whatever it was that ended a trainer, a gigabyte wasn't it.
const FLOOR: u64 = 1 << 30;
/// Until one halving is undone.
const RECOVERY: Duration = Duration::from_hours(24);
/// Two readings of when the machine was started differ by less, whatever its clock did.
const SAME_START: Duration = Duration::from_mins(1);

/// What trainers on this device may take.
#[derive(Debug)]
pub(crate) struct Budget {
    file: PathBuf,
    limit: u64,
    kept: Kept,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    halvings: u32,
    /// When the last halving was, or was undone.
    #[serde(default)]
    since: Timestamp,
    /// A trainer was at work, on a machine that had been started then, when this was written: found
    /// after another start, it says that the machine went down with it.
    #[serde(default)]
    at_work: Option<Timestamp>,
}

/// A lease that needs more than trainers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the work takes about {} of memory and a trainer may take {}{}; raise MaximumMemoryGB, or lower \
     the job's batch size",
    gigabytes(*needs),
    gigabytes(*may),
    if *.halved { " (less for a day, because one ended abnormally)" } else { "" }
)]
pub(crate) struct Shortage {
    needs: u64,
    may: u64,
    halved: bool,
}

impl Budget {
    /// The budget that is kept in `folder`; `maximum` is what the device's owner set.
    pub(crate) fn open(folder: &Path, maximum: Option<u64>) -> Self {
        let limit = maximum.unwrap_or_else(|| platform::memory::installed() / SHARE);
        let mut budget = Self::read(folder, limit);
        if budget.went_down(started()) {
            budget.halve(now());
        }
        budget
    }

    fn read(folder: &Path, limit: u64) -> Self {
        let file = folder.join(FILE);
        // None yet, or damaged: nothing is known of earlier ends.
        let kept = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file, limit, kept: kept.unwrap_or_default() }
    }

    /// Bytes that a trainer may take now.
    pub(crate) fn bytes(&self) -> u64 {
        self.at(now())
    }

    fn at(&self, now: Timestamp) -> u64 {
        let halved = self.limit.checked_shr(self.halvings(now)).unwrap_or(0);
        halved.max(FLOOR.min(self.limit))
    }

    fn halvings(&self, now: Timestamp) -> u32 {
        let undone = now.since(self.kept.since).as_secs() / RECOVERY.as_secs();
        self.kept.halvings.saturating_sub(u32::try_from(undone).unwrap_or(u32::MAX))
    }

    /// Whether work that needs so many bytes may begin.
    pub(crate) fn admit(&self, needs: u64) -> Result<(), Shortage> {
        let (may, halved) = (self.bytes(), self.halvings(now()) > 0);
        if needs <= may { Ok(()) } else { Err(Shortage { needs, may, halved }) }
    }

    /// A trainer is at work from now on, or no more.
    pub(crate) fn note(&mut self, at_work: bool) {
        let at_work = at_work.then(started);
        if self.kept.at_work.is_some() != at_work.is_some() {
            self.keep(Kept { at_work, ..self.kept });
        }
    }

    /// A trainer ended abnormally.
    pub(crate) fn halved(&mut self) {
        self.halve(now());
    }

    fn halve(&mut self, now: Timestamp) {
        let halvings = self.halvings(now).saturating_add(1);
        self.keep(Kept { halvings, since: now, at_work: None });
    }

    fn went_down(&self, started: Timestamp) -> bool {
        self.kept.at_work.is_some_and(|then| started.since(then) > SAME_START)
    }

    /// That it is less than it could be, for the machine's owner.
    pub(crate) fn words(&self) -> Option<String> {
        self.words_at(now())
    }

    fn words_at(&self, now: Timestamp) -> Option<String> {
        let (may, limit) = (self.at(now), self.limit);
        (may < limit).then(|| {
            format!(
                "Training ended abnormally, so for a day it may take {} of memory and not {}.",
                gigabytes(may),
                gigabytes(limit)
            )
        })
    }

    fn keep(&mut self, kept: Kept) {
        self.kept = kept;
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        if let Err(error) = platform::files::write_private(&self.file, &bytes) {
            tracing::warn!(%error, "how a trainer ended is forgotten when the worker ends");
        }
    }
}

/// Forgets how trainers ended here.
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

/// When the machine was started.
fn started() -> Timestamp {
    timestamp(UNIX_EPOCH + platform::system::started())
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
    fn each_abnormal_end_halves_it_and_each_day_undoes_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut budget = Budget::read(folder.path(), 8 * GIB);
        assert_eq!(budget.at(later(0)), 8 * GIB);
        assert_eq!(budget.words_at(later(0)), None);
        budget.halve(later(0));
        budget.halve(later(1));
        assert_eq!(budget.at(later(1)), 2 * GIB);
        let words = budget.words_at(later(1)).unwrap();
        assert!(words.ends_with("2.1 GB of memory and not 8.6 GB."), "{words}");
        // As another process finds it.
        let found = Budget::read(folder.path(), 8 * GIB);
        assert_eq!([24, 25, 49].map(|hours| found.at(later(hours)) / GIB), [2, 4, 8]);
        for _ in 0..70 {
            budget.halve(later(2));
        }
        assert_eq!(budget.at(later(2)), GIB, "small work goes on");
        let small = Budget { limit: GIB / 2, ..budget };
        assert_eq!(small.at(later(2)), GIB / 2, "the owner's limit is the limit");
    }

    #[test]
    fn a_machine_that_went_down_while_training_counts_as_an_abnormal_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut budget = Budget::read(folder.path(), 8 * GIB);
        budget.note(true);
        let kept = Budget::read(folder.path(), 8 * GIB);
        assert!(!kept.went_down(started()), "only the process did");
        assert!(kept.went_down(started().after(Duration::from_hours(1))));
        budget.note(false);
        let kept = Budget::read(folder.path(), 8 * GIB);
        assert!(!kept.went_down(started().after(Duration::from_hours(1))));
    }

    #[test]
    fn work_that_does_not_fit_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let budget = Budget::read(folder.path(), 2_000_000_000);
        assert_eq!(budget.admit(2_000_000_000), Ok(()));
        let words = budget.admit(3_240_000_000).unwrap_err().to_string();
        assert!(
            words.starts_with(
                "the work takes about 3.2 GB of memory and a trainer may take 2.0 GB;"
            )
        );
        let mut halved = Budget::read(folder.path(), 4 * GIB);
        halved.halved();
        let words = halved.admit(3 * GIB).unwrap_err().to_string();
        assert!(words.contains("ended abnormally"), "{words}");
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Budget::read(folder.path(), GIB).kept, Kept::default());
    }
}
