//! Lease records: the entries of the lease history.

use protocol::lease::{Lease, LeaseOutcome, LeaseRecord};

use crate::store::{DeviceRow, LeaseRow};

/// Returns the record of a lease that has just been granted.
pub(super) fn open_record(lease: &Lease, device: Option<&DeviceRow>) -> LeaseRow {
    let record = LeaseRecord {
        id: lease.id,
        device: lease.device_id,
        device_name: device.map(|row| row.name.clone()).unwrap_or_default(),
        round: lease.round,
        partition: lease.partition,
        granted_at: lease.granted_at,
        ended_at: None,
        outcome: LeaseOutcome::Open,
        reason: None,
        steps: 0,
        examples: 0,
    };
    LeaseRow { job: lease.job_id, record }
}
