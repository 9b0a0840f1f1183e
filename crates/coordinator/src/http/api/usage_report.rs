//! Compute that the cluster's devices contributed, and an estimate of the energy it took.

use std::collections::HashSet;
use std::ops::Add;

use federation::machine::JobSnapshot;
use protocol::Timestamp;
use protocol::usage::{Usage, UsageDay, UsageToday};

use crate::clock;
use crate::store::{Day, DayRow};
use crate::views::Views;

/// Number of days in the API's answer.
pub(crate) const DAYS: u32 = 14;

/// Returns the usage as the API shows it. `rows` holds only days with contributions.
pub(crate) fn usage(views: &Views, rows: &[DayRow], now: Timestamp) -> Usage {
    let find = |date: &str| rows.iter().find(|row| row.date == date).map(|row| row.day);
    let day = |ago| clock::date(now.before(std::time::Duration::from_hours(24 * u64::from(ago))));
    let days = (0..DAYS).rev().map(|ago| {
        let date = day(ago);
        let Day { gpu_seconds, cpu_seconds, examples, .. } = find(&date).unwrap_or_default();
        UsageDay { date, seconds: gpu_seconds + cpu_seconds, examples }
    });
    let today = find(&day(0)).unwrap_or_default();
    Usage {
        examples_per_second: examples_per_second(views, now),
        today: UsageToday {
            gpu_seconds: today.gpu_seconds,
            cpu_seconds: today.cpu_seconds,
            examples: today.examples,
            leases: today.leases,
            kilowatt_hours: today.watt_hours / 1000.0,
        },
        days: days.collect(),
    }
}

/// Returns the examples per second of all active devices that hold a lease.
fn examples_per_second(views: &Views, now: Timestamp) -> f64 {
    let mut training = HashSet::new();
    for job in views.jobs() {
        if let JobSnapshot::Collecting(round) = views.snapshot(&job) {
            training.extend(round.training.iter().copied());
        }
    }
    let devices = views.devices(now);
    let training = devices.iter().filter(|it| it.is_active && training.contains(&it.id));
    // `sum()` would give -0.0 for no devices.
    training.filter_map(|device| device.examples_per_second).fold(0.0, f64::add)
}
