//! What the driver answers when it doesn't do what it was asked.

use federation::machine::Rejection;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, NoticeId, WebhookId};

use crate::store::StoreError;

/// Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    #[error("this is the only administrator's token; make another before you delete it")]
    LastAdmin,
    #[error("the device was revoked; only an administrator's token enrols it again")]
    Revoked,
    #[error("device {0} is not in quarantine")]
    NotQuarantined(DeviceId),
    #[error(
        "the device is in quarantine for its bad updates; an administrator releases it \
         (`constellation device release`)"
    )]
    Quarantined,
    #[error("there is no notice {0}")]
    UnknownNotice(NoticeId),
    #[error("there is no webhook {0}")]
    UnknownWebhook(WebhookId),
    #[error("there are {0} webhooks, which is the most; remove one first")]
    TooManyWebhooks(usize),
    #[error("blob {0} is not here, or not as long as the update must be; send its bytes first")]
    MissingBlob(BlobHash),
    #[error("the coordinator is shutting down; try again in a moment")]
    Stopping,
}
