//! Cancellation of blob transfers under a lease. A download stops when its lease is no longer held,
//! an upload when the lease's seat accepts no more updates.

use std::collections::HashMap;

use federation::machine::Machine;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};
use tokio_util::sync::CancellationToken;

use super::leases::UploadLimit;
use super::{Driver, DriverError};
use crate::clock;

/// Cancellation tokens of transfers, kept from a lease's first transfer to its end.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    downloads: HashMap<LeaseId, (JobId, CancellationToken)>,
    uploads: HashMap<(LeaseId, DeviceId), (JobId, CancellationToken)>,
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
        let (job, lease) = open.find_map(|row| Some((row.id, names(&row.machine)?)))?;
        let begun = self.transfers.downloads.entry(lease);
        Some(begun.or_insert_with(|| (job, CancellationToken::new())).1.clone())
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
        let begun = permit.awaited.then(|| {
            let uploads = self.transfers.uploads.entry((lease, device));
            uploads.or_insert_with(|| (job, CancellationToken::new())).1.clone()
        });
        Ok((permit, begun))
    }

    /// Stops transfers that their leases no longer allow. Called after a commit.
    pub(super) fn stop_transfers(&mut self) {
        let jobs = &self.state.jobs;
        let go_on = |goes_on: bool, token: &CancellationToken| {
            if !goes_on {
                token.cancel();
            }
            goes_on
        };
        self.transfers.downloads.retain(|lease, (job, token)| {
            let row = jobs.get(job).filter(|row| Self::is_open(row));
            go_on(row.is_some_and(|row| row.machine.is_held(*lease)), token)
        });
        self.transfers.uploads.retain(|(lease, device), (job, token)| {
            let row = jobs.get(job);
            go_on(row.is_some_and(|row| row.machine.awaits(*lease, *device)), token)
        });
    }
}
