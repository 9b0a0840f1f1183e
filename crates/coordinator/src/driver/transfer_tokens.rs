//! Cancellation tokens of blob transfers under a lease, and what may be uploaded.

use std::collections::{HashMap, HashSet};

use federation::machine::Machine;
use protocol::{DeviceId, JobId, LeaseId};
use tokio_util::sync::CancellationToken;

/// Limits of an upload under a lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadLimit {
    /// Parameter count of the model. An update has four bytes for each.
    pub(crate) parameters: u64,
    /// Whether the lease's seat still accepts an update.
    pub(crate) awaited: bool,
}

/// Cancellation tokens of transfers, kept from a lease's first transfer to its end.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    pub(super) downloads: HashMap<LeaseId, CancellationToken>,
    pub(super) uploads: HashMap<LeaseId, Upload>,
    /// Leases with uploads for a seat.
    pub(super) by_seat: HashMap<(JobId, u32), HashSet<LeaseId>>,
}

/// Upload under a lease.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) job: JobId,
    pub(super) device: DeviceId,
    pub(super) seat: u32,
    pub(super) token: CancellationToken,
}

impl Transfers {
    /// Stops the transfers that a job's leases no longer allow, after the changes of a transaction.
    pub(super) fn stop(&mut self, job: JobId, machine: &Machine) {
        let mut leases: HashSet<LeaseId> = machine.changed_leases().collect();
        for seat in machine.changed_seats() {
            leases.extend(self.by_seat.get(&(job, seat)).into_iter().flatten());
        }
        if machine.status().is_final() {
            let of_job = self.uploads.iter().filter(|(_, upload)| upload.job == job);
            leases.extend(of_job.map(|(lease, _)| *lease));
        }
        for lease in leases {
            if !machine.is_held(lease)
                && let Some(token) = self.downloads.remove(&lease)
            {
                token.cancel();
            }
            let upload = self.uploads.get(&lease);
            if upload.is_some_and(|upload| !machine.awaits(lease, upload.device)) {
                self.stop_upload(lease);
            }
        }
    }

    fn stop_upload(&mut self, lease: LeaseId) {
        let Some(upload) = self.uploads.remove(&lease) else { return };
        upload.token.cancel();
        let seat = (upload.job, upload.seat);
        if let Some(leases) = self.by_seat.get_mut(&seat) {
            leases.remove(&lease);
            if leases.is_empty() {
                self.by_seat.remove(&seat);
            }
        }
    }
}
