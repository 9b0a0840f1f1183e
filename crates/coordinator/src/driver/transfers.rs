//! Cancellation of blob transfers under a lease. A download stops when its lease is no longer held,
//! an upload when the lease's seat accepts no more updates.

use federation::machine::Machine;
use protocol::{BlobHash, DeviceId, LeaseId};
use tokio_util::sync::CancellationToken;

use super::transfer_tokens::{Upload, UploadLimit};
use super::{Driver, DriverError};
use crate::clock;

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
