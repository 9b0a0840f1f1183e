//! What this machine gave, day by day, for its owner. The coordinator keeps its own account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::fingerprint::Backend;
use protocol::usage::watts;
use worker::LeaseContribution;

use super::view::{Amount, GivenView};

/// Days that are kept one by one; what is older is in the sum alone.
const DAYS: usize = 31;

/// The account and the file that it is kept in.
#[derive(Debug)]
pub(super) struct ContributionLog {
    file: PathBuf,
    account: Account,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Account {
    total: Amount,
    /// By the date on this machine, such as `2026-11-24`.
    days: BTreeMap<String, Amount>,
}

impl ContributionLog {
    /// A file that can't be read begins a new account, beside the old file.
    pub(super) fn open(file: &Path) -> Self {
        let account = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let aside = file.with_extension("unreadable");
                tracing::warn!(%error, aside = %aside.display(), "the account of what this machine gave begins anew");
                drop(std::fs::rename(file, aside));
                Account::default()
            }),
            Err(_) => Account::default(),
        };
        Self { file: file.to_owned(), account }
    }

    /// Adds a lease that ended on `date`.
    pub(super) fn add(&mut self, date: &str, given: &LeaseContribution, device_type: &str) {
        let seconds = given.seconds.max(0.0);
        let (gpu_seconds, cpu_seconds) = match given.backend {
            Backend::Wgpu => (seconds, 0.0),
            Backend::Cpu => (0.0, seconds),
        };
        let watt_hours = seconds * watts(device_type, given.backend) / 3600.0;
        let lease =
            Amount { leases: 1, examples: given.examples, gpu_seconds, cpu_seconds, watt_hours };
        self.account.total = sum(self.account.total, lease);
        let day = self.account.days.entry(date.to_owned()).or_default();
        *day = sum(*day, lease);
        while self.account.days.len() > DAYS {
            self.account.days.pop_first();
        }
        let written = serde_json::to_vec(&self.account)
            .map_err(std::io::Error::other)
            .and_then(|bytes| platform::files::write_private(&self.file, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "what this machine gave could not be written down");
        }
    }

    pub(super) fn view(&self, today: &str) -> GivenView {
        let today = self.account.days.get(today).copied().unwrap_or_default();
        GivenView { today, total: self.account.total }
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
    fn days_add_up_and_outlive_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("given.json");
        let mut ledger = ContributionLog::open(&file);
        let gpu = LeaseContribution { backend: Backend::Wgpu, seconds: 3600.0, examples: 100 };
        let cpu = LeaseContribution { backend: Backend::Cpu, seconds: 1800.0, examples: 50 };
        ledger.add("2026-11-23", &gpu, "mac");
        ledger.add("2026-11-24", &cpu, "mac");
        let view = ContributionLog::open(&file).view("2026-11-24");
        assert_eq!((view.today.leases, view.today.examples), (1, 50));
        assert!((view.today.watt_hours - 17.5).abs() < 1e-9);
        assert_eq!((view.total.leases, view.total.examples), (2, 150));
        assert!((view.total.watt_hours - 62.5).abs() < 1e-9);
        assert_eq!(ledger.view("2026-11-25").today, Amount::default());
    }

    #[test]
    fn old_days_stay_in_the_sum() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ContributionLog::open(&folder.path().join("given.json"));
        let given = LeaseContribution { backend: Backend::Cpu, seconds: 1.0, examples: 1 };
        for day in 0..40 {
            ledger.add(&format!("2026-{day:03}"), &given, "linux");
        }
        assert_eq!(ledger.account.days.len(), DAYS);
        assert_eq!(ledger.account.total.leases, 40);
    }

    #[test]
    fn a_broken_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("given.json");
        std::fs::write(&file, "{").unwrap();
        assert_eq!(ContributionLog::open(&file).view("x"), GivenView::default());
        assert!(folder.path().join("given.unreadable").exists());
    }
}
