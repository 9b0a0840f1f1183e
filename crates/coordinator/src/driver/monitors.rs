//! What the driver looks for by itself: jobs that stand still, a disk that fills up, a certificate
//! that ends.

use std::time::Duration;

use protocol::notice::NoticeKind;
use protocol::{JobId, Timestamp};

use super::{Driver, State};
use crate::store::JobRow;

/// The disk is nearly full below this share of it, or below [`LITTLE_ROOM`], whichever is less.
const LITTLE_SHARE: u64 = 20;
/// A certificate that ends within this time is told of.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Bytes.
const LITTLE_ROOM: u64 = 2 << 30;

impl Driver {
    /// When the next job will have stood still for too long.
    pub(super) fn next_stall(&self) -> Option<Timestamp> {
        let open = self.state.jobs.values().filter(|row| Self::is_open(row));
        let moving = open.filter(|row| !self.state.stalled.contains(&row.id));
        moving.filter_map(|row| self.stalls_at(row)).min()
    }

    /// Time during which no device could reach the coordinator doesn't count.
    fn stalls_at(&self, row: &JobRow) -> Option<Timestamp> {
        let moved_at = row.machine.moved_at()?.max(self.started_at);
        Some(moved_at.after(row.machine.lease_timeout()))
    }

    /// Tells of jobs that stand still, and that they move again.
    pub(super) fn watch_jobs(&mut self, now: Timestamp) {
        let open = self.state.jobs.values().filter(|row| Self::is_open(row));
        let turned: Vec<(JobId, bool)> = open
            .map(|row| (row.id, self.stalls_at(row).is_some_and(|at| at <= now)))
            .filter(|(id, still)| self.state.stalled.contains(id) != *still)
            .collect();
        for (id, still) in turned {
            if still {
                self.tell_stalled(id);
            } else {
                self.set_stalled(id, false);
                self.end_notice(NoticeKind::JobStalled, Some(&id.to_string()));
            }
            self.pending.job_changed(id);
        }
    }

    fn tell_stalled(&mut self, id: JobId) {
        let Some(row) = self.state.jobs.get(&id) else { return };
        let name = &row.machine.spec().name;
        let reason = row.machine.reason().unwrap_or_default();
        let text = format!("job '{name}' does not move: {reason}");
        self.set_stalled(id, true);
        self.raise(NoticeKind::JobStalled, Some(id.to_string()), text);
    }

    pub(super) fn set_stalled(&mut self, id: JobId, stalled: bool) {
        let was =
            if stalled { !self.state.stalled.insert(id) } else { self.state.stalled.remove(&id) };
        self.pending.undo(move |state: &mut State| {
            if was {
                state.stalled.insert(id);
            } else {
                state.stalled.remove(&id);
            }
        });
    }

    /// Tells of a certificate that ends soon, and that it was renewed.
    pub(super) fn watch_certificate(&mut self, now: Timestamp) {
        let certificate = self.own_certificate.as_ref();
        let Some(ends) = certificate.and_then(|own| own.expires_at()) else { return };
        let soon = now.after(SOON) >= ends;
        if soon == self.is_told(NoticeKind::CertificateExpiring, None) {
            return;
        }
        if soon {
            let text = format!(
                "the certificate that browsers are shown ends on {ends}: put a renewed one in its \
                 place; devices do not depend on it"
            );
            self.raise(NoticeKind::CertificateExpiring, None, text);
        } else {
            self.end_notice(NoticeKind::CertificateExpiring, None);
        }
    }

    /// Tells of a disk with little room, and that it has some again.
    pub(super) fn watch_disk(&mut self) {
        let space = match self.blobs.space() {
            Ok(space) => space,
            Err(error) => {
                tracing::debug!(%error, "the disk does not say how much room it has");
                return;
            }
        };
        let little = space.free < (space.total / LITTLE_SHARE).min(LITTLE_ROOM);
        if little == self.is_told(NoticeKind::DiskNearlyFull, None) {
            return;
        }
        if little {
            let text = format!(
                "the coordinator's disk has only {} MB of room left: free some space, or nothing \
                 more can be stored",
                space.free / 1_000_000
            );
            self.raise(NoticeKind::DiskNearlyFull, None, text);
        } else {
            self.end_notice(NoticeKind::DiskNearlyFull, None);
        }
    }
}
