//! Log of the work that this machine has contributed, per day, shown to its user. The coordinator keeps its own records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::fingerprint::Backend;
use protocol::usage::watts;
use worker::LeaseContribution;

use super::view::{Amount, GivenView};

/// Number of days kept separately; older days are part of the total only.
const KEPT_DAYS: usize = 31;

/// Contribution records and their file.
#[derive(Debug)]
pub(super) struct ContributionLog {
    file: PathBuf,
    records: Records,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Records {
    total: Amount,
    /// By local date, such as `2026-11-24`.
    days: BTreeMap<String, Amount>,
}

impl ContributionLog {
    /// Loads the log. An unreadable file is renamed to `*.unreadable`, and a new log is started.
    pub(super) fn open(file: &Path) -> Self {
        let records = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let aside = file.with_extension("unreadable");
                tracing::warn!(%error, aside = %aside.display(), "can't read the contribution log; starting a new one");
                drop(std::fs::rename(file, aside));
                Records::default()
            }),
            Err(_) => Records::default(),
        };
        Self { file: file.to_owned(), records }
    }

    /// Adds a lease that was completed on `date`.
    pub(super) fn add(&mut self, date: &str, contribution: &LeaseContribution, device_type: &str) {
        let seconds = contribution.seconds.max(0.0);
        let (gpu_seconds, cpu_seconds) = match contribution.backend {
            Backend::Wgpu => (seconds, 0.0),
            Backend::Cpu => (0.0, seconds),
        };
        let watt_hours = seconds * watts(device_type, contribution.backend) / 3600.0;
        let lease = Amount {
            leases: 1,
            examples: contribution.examples,
            gpu_seconds,
            cpu_seconds,
            watt_hours,
        };
        self.records.total = sum(self.records.total, lease);
        let day = self.records.days.entry(date.to_owned()).or_default();
        *day = sum(*day, lease);
        while self.records.days.len() > KEPT_DAYS {
            self.records.days.pop_first();
        }
        let written = serde_json::to_vec(&self.records)
            .map_err(std::io::Error::other)
            .and_then(|bytes| platform::files::write_private(&self.file, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "can't save the contribution log");
        }
    }

    pub(super) fn view(&self, today: &str) -> GivenView {
        let today = self.records.days.get(today).copied().unwrap_or_default();
        GivenView { today, total: self.records.total }
    }
}

fn sum(a: Amount, b: Amount) -> Amount {
    Amount {
        leases: a.leases + b.leases,
        examples: a.examples + b.examples,
        gpu_seconds: a.gpu_seconds + b.gpu_seconds,
        cpu_seconds: a.cpu_seconds + b.cpu_seconds,
        watt_hours: a.watt_hours + b.watt_hours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_add_up_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("given.json");
        let mut log = ContributionLog::open(&file);
        let gpu = LeaseContribution { backend: Backend::Wgpu, seconds: 3600.0, examples: 100 };
        let cpu = LeaseContribution { backend: Backend::Cpu, seconds: 1800.0, examples: 50 };
        log.add("2026-11-23", &gpu, "mac");
        log.add("2026-11-24", &cpu, "mac");
        let view = ContributionLog::open(&file).view("2026-11-24");
        assert_eq!((view.today.leases, view.today.examples), (1, 50));
        assert!((view.today.watt_hours - 17.5).abs() < 1e-9);
        assert_eq!((view.total.leases, view.total.examples), (2, 150));
        assert!((view.total.watt_hours - 62.5).abs() < 1e-9);
        assert_eq!(log.view("2026-11-25").today, Amount::default());
    }

    #[test]
    fn old_days_stay_in_the_total() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = ContributionLog::open(&folder.path().join("given.json"));
        let contribution = LeaseContribution { backend: Backend::Cpu, seconds: 1.0, examples: 1 };
        for day in 0..40 {
            log.add(&format!("2026-{day:03}"), &contribution, "linux");
        }
        assert_eq!(log.records.days.len(), KEPT_DAYS);
        assert_eq!(log.records.total.leases, 40);
    }

    #[test]
    fn an_unreadable_file_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("given.json");
        std::fs::write(&file, "{").unwrap();
        assert_eq!(ContributionLog::open(&file).view("x"), GivenView::default());
        assert!(folder.path().join("given.unreadable").exists());
    }
}
