//! Transfers of blobs under a lease, and what stops them: a download when its lease is held no longer,
//! an upload when the lease's seat takes no update any more.

use std::collections::HashMap;

use federation::machine::Machine;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};
use tokio_util::sync::CancellationToken;

use super::leases::Permit;
use super::{Driver, Refusal};
use crate::clock;

/// What transfers wait for, from their lease's first one to its end.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    downloads: HashMap<LeaseId, (JobId, CancellationToken)>,
    uploads: HashMap<(LeaseId, DeviceId), (JobId, CancellationToken)>,
}

impl Driver {
    /// Cancelled when the lease of this device ends that names the blob; none where no lease that it
    /// holds does.
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

    /// What may be sent up under this lease. The token is cancelled when its seat takes no update any
    /// more; none where it takes none now.
    pub(super) fn begin_upload(
        &mut self,
        lease: LeaseId,
        device: DeviceId,
    ) -> Result<(Permit, Option<CancellationToken>), Refusal> {
        let job = self.renew(clock::now(), lease, device)?;
        let permit = self.permit_of(job, lease, device)?;
        let begun = permit.awaited.then(|| {
            let uploads = self.transfers.uploads.entry((lease, device));
            uploads.or_insert_with(|| (job, CancellationToken::new())).1.clone()
        });
        Ok((permit, begun))
    }

    /// After a commit: stops what its leases don't allow any more.
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
