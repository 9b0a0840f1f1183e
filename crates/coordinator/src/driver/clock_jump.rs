//! Jumps of the clock: all deadlines move with it.

use std::time::Instant;

use federation::machine::Event;
use protocol::{DeviceId, JobId, Timestamp};

use super::Driver;

impl Driver {
    /// Moves all deadlines if the clock jumped since the last call.
    pub(super) fn watch_clock(&mut self, system: Timestamp, steady: Instant) {
        let Some(millis) = self.clock_watch.jump(system, steady) else { return };
        tracing::warn!(seconds = millis / 1000, "the system clock jumped; deadlines move with it");
        self.take_heartbeats();
        for at in [
            &mut self.grace_until,
            &mut self.retry_at,
            &mut self.flush_at,
            &mut self.monitor_at,
            &mut self.orphans_at,
            &mut self.trim_at,
            &mut self.started_at,
        ] {
            *at = at.moved(millis);
        }
        let active: Vec<DeviceId> = self.state.active.iter().copied().collect();
        for device in active {
            if let Some(row) = self.state.devices.get_mut(&device) {
                row.last_seen = row.last_seen.moved(millis);
                self.views.publish_device(row.clone());
                self.pending.defer_device(device);
            }
        }
        let open = self.state.jobs.values().filter(|row| Self::is_open(row));
        let open: Vec<JobId> = open.map(|row| row.id).collect();
        for job in open {
            if let Err(error) = self.apply(system, job, Event::ClockMoved { millis }) {
                tracing::error!(%job, %error, "a job rejected a move of the clock");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::driver::tests::Cluster;
    use crate::views::is_active;

    #[tokio::test]
    async fn a_clock_that_jumps_raises_no_false_stall_and_ends_no_lease() {
        for millis in [3 * 86_400_000, -3 * 86_400_000] {
            let mut cluster = Cluster::new(2, 1, false);
            let (system, steady) = (crate::clock::now(), Instant::now());
            let device = cluster.devices[0];
            drop(cluster.request_lease(device));
            let driver = &mut cluster.driver;
            driver.watch_clock(system, steady);
            driver.grace_until = system;
            let later = Duration::from_secs(20);
            let (now, steady) = (system.after(later).moved(millis), steady + later);
            driver.watch_clock(now, steady);
            driver.tick(now);
            driver.watch_jobs(now);
            driver.find_silent_devices(now);
            driver.commit();
            assert!(driver.state.stalled.is_empty());
            assert!(driver.state.jobs.get(&cluster.job).unwrap().machine.holds(device));
            let row = driver.state.devices.get(&device).unwrap();
            assert!(is_active(row, now, driver.offline_after()));

            // A device that really fell silent is still found, at the usual time.
            let quiet = Duration::from_mins(20);
            let (now, steady) = (now.after(quiet), steady + quiet);
            driver.watch_clock(now, steady);
            driver.tick(now);
            driver.watch_jobs(now);
            assert!(!driver.state.jobs.get(&cluster.job).unwrap().machine.holds(device));
            assert!(driver.state.stalled.get(&cluster.job).is_some());
        }
    }
}
