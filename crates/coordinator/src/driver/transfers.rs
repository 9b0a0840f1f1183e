//! Cancellation of blob transfers under a lease. A download stops when its lease is no longer held,
//! an upload when the lease's seat accepts no more updates.

use std::collections::{HashMap, HashSet};

use federation::machine::Machine;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};
use tokio_util::sync::CancellationToken;

use super::leases::UploadLimit;
use super::{Driver, DriverError};
use crate::clock;

/// Cancellation tokens of transfers, kept from a lease's first transfer to its end.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    downloads: HashMap<LeaseId, CancellationToken>,
    uploads: HashMap<LeaseId, Upload>,
    /// Leases with uploads for a seat.
    by_seat: HashMap<(JobId, u32), HashSet<LeaseId>>,
}

/// Upload under a lease.
#[derive(Debug)]
struct Upload {
    job: JobId,
    device: DeviceId,
    seat: u32,
    token: CancellationToken,
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

impl Driver {
    /// Returns a token that is cancelled when the device's lease that names the blob ends. `None`
    /// if the device holds no such lease.
    pub(super) fn begin_download(
        &mut self,
        device: DeviceId,
        blob: BlobHash,
    ) -> Option<CancellationToken> {
        let names = |machine: &Machine| {
            let lease = machine.lease_of(device)?;
            (lease.base == blob || lease.shards.contains(&blob)).then_some(lease.id)
        };
        let mut open = self.state.jobs.values().filter(|row| Self::is_open(row));
        let lease = open.find_map(|row| names(&row.machine))?;
        Some(self.transfers.downloads.entry(lease).or_default().clone())
    }

    /// Returns what may be uploaded under this lease. The token is cancelled when its seat accepts
    /// no more updates; `None` if it accepts none now.
    pub(super) fn begin_upload(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<(UploadLimit, Option<CancellationToken>), DriverError> {
        let job = self.renew(clock::now(), lease, device)?;
        let permit = self.permit_of(job, lease, device)?;
        let row = self.state.jobs.get(&job).filter(|_| permit.awaited);
        let Some(seat) = row.and_then(|row| row.machine.seat_of(lease)) else {
            return Ok((permit, None));
        };
        self.transfers.by_seat.entry((job, seat)).or_default().insert(lease);
        let token = CancellationToken::new();
        let begun = self.transfers.uploads.entry(lease);
        let upload = begun.or_insert(Upload { job, device, seat, token });
        Ok((permit, Some(upload.token.clone())))
    }
}
