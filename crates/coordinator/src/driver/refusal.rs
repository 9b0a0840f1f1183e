//! What the driver answers when it doesn't do what it was asked.

use federation::machine::Rejection;
use protocol::{BlobHash, DeviceId, JobId, LeaseId};

use crate::store::StoreError;

/// Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    #[error("there is no device {0}; register it first")]
    UnknownDevice(DeviceId),
    #[error("this device holds no lease {0}, and held none lately")]
    UnknownLease(LeaseId),
    #[error("there is no token '{0}'")]
    UnknownToken(String),
    #[error(
        "this sign-in link is used up or too old: make a new one by `constellation coordinator \
         sign-in`"
    )]
    UnknownSignInCode,
    #[error("there is no such session")]
    UnknownSession,
    #[error("this is the only administrator's token; make another before you delete it")]
    LastAdmin,
    #[error("the device was revoked; only an administrator's token enrols it again")]
    Revoked,
    #[error("blob {0} is not here, or not as long as the update must be; send its bytes first")]
    MissingBlob(BlobHash),
    #[error("the coordinator is shutting down; try again in a moment")]
    Stopping,
}
