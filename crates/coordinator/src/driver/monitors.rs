//! Monitors that raise and end notices: stalled jobs, a nearly full disk, an expiring certificate.

use std::time::Duration;

use protocol::notice::NoticeKind;
use protocol::{JobId, Timestamp};

use super::Driver;
use crate::store::JobRow;

/// The disk counts as nearly full below 1/20 of its size or below [`LOW_SPACE_BYTES`], whichever is
/// less.
const LOW_SPACE_DIVISOR: u64 = 20;
const LOW_SPACE_BYTES: u64 = 2 << 30;
/// Time before a certificate's expiry at which a notice is raised.
const EXPIRY_WARNING: Duration = Duration::from_hours(14 * 24);

impl Driver {
    /// Returns when the next job counts as stalled.
    pub(super) fn next_stall(&self) -> Option<Timestamp> {
        let open = self.state.jobs.values().filter(|row| Self::is_open(row));
        let moving = open.filter(|row| !self.state.stalled.contains_key(&row.id));
        moving.filter_map(|row| self.stalls_at(row)).min()
    }

    /// Returns when the job counts as stalled. Time before this start doesn't count, because no device
    /// could reach the coordinator.
    fn stalls_at(&self, row: &JobRow) -> Option<Timestamp> {
        let moved_at = row.machine.moved_at()?.max(self.started_at);
        Some(moved_at.after(row.machine.stall_timeout()))
    }

    /// Raises a notice for each job that stalls, and ends it when the job moves again.
    pub(super) fn watch_jobs(&mut self, now: Timestamp) {
        let open = self.state.jobs.values().filter(|row| Self::is_open(row));
        let changed: Vec<(JobId, bool)> = open
            .map(|row| (row.id, self.stalls_at(row).is_some_and(|at| at <= now)))
            .filter(|(id, is_stalled)| self.state.stalled.contains_key(id) != *is_stalled)
            .collect();
        for (id, is_stalled) in changed {
            if is_stalled {
                self.raise_stalled(id);
            } else {
                self.set_stalled(id, false);
                self.end_notice(NoticeKind::JobStalled, Some(&id.to_string()));
            }
            self.pending.job_changed(id);
        }
    }

    fn raise_stalled(&mut self, id: JobId) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        let name = self.job_name(row);
        let reason = row.machine.reason().unwrap_or_default();
        let text = format!("job '{name}' is stalled: {reason}");
        self.set_stalled(id, true);
        self.raise(NoticeKind::JobStalled, Some(id.to_string()), text);
    }

    pub(super) fn set_stalled(&mut self, id: JobId, stalled: bool) {
        if stalled {
            self.state.stalled.insert(id, ());
        } else {
            self.state.stalled.remove(&id);
        }
    }

    /// Raises a notice for a certificate that expires soon, and ends it after the renewal.
    pub(super) fn watch_certificate(&mut self, now: Timestamp) {
        let certificate = self.own_certificate.as_ref();
        let Some(expiry) = certificate.and_then(|own| own.expires_at()) else { return };
        let expires_soon = now.after(EXPIRY_WARNING) >= expiry;
        if expires_soon == self.has_open_notice(NoticeKind::CertificateExpiring, None) {
            return;
        }
        if expires_soon {
            let text = format!(
                "the certificate for browsers expires on {expiry}: replace its file with a renewed one; \
                 devices do not depend on it"
            );
            self.raise(NoticeKind::CertificateExpiring, None, text);
        } else {
            self.end_notice(NoticeKind::CertificateExpiring, None);
        }
    }

    /// Raises a notice for a nearly full disk, and ends it when there is space again.
    pub(super) fn watch_disk(&mut self) {
        let space = match self.blobs.space() {
            Ok(space) => space,
            Err(error) => {
                tracing::debug!(%error, "the free disk space can't be read");
                return;
            }
        };
        let is_low = space.free < (space.total / LOW_SPACE_DIVISOR).min(LOW_SPACE_BYTES);
        if is_low == self.has_open_notice(NoticeKind::DiskNearlyFull, None) {
            return;
        }
        if is_low {
            let text = format!(
                "the coordinator's disk has only {} MB free: free some space, or nothing more can be \
                 stored",
                space.free / 1_000_000
            );
            self.raise(NoticeKind::DiskNearlyFull, None, text);
        } else {
            self.end_notice(NoticeKind::DiskNearlyFull, None);
        }
    }
}
