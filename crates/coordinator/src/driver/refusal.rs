//! What the driver answers when it doesn't do what it was asked.

use federation::machine::Rejection;
use protocol::join::JoinCodeState;
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
    #[error("there is no such version of a model '{0}'")]
    UnknownModel(String),
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
    #[error(
        "the device was revoked; an administrator lets it in again by removing its record \
         (`constellation device cleanup`)"
    )]
    Revoked,
    #[error(
        "the key is that of {name}, which is another machine or another --instance: this data \
         folder is a copy of that one's; register with a key of its own"
    )]
    CopiedKey { id: DeviceId, name: String },
    #[error(
        "this machine is enrolled as {name}, which was heard of moments ago under another key; \
         stop the other worker, or wait {seconds} s"
    )]
    AtWork { name: String, seconds: u64 },
    #[error(
        "another worker is at work as {name}: if this data folder was copied from another machine, \
         remove its identity.json and enrol it anew; if two workers run on one machine, give each its \
         own --data-dir and --instance"
    )]
    SecondSession { name: String },
    #[error("there is no join code '{0}'")]
    UnknownJoinCode(String),
    #[error("this is no join code of this cluster; compare it with the one you were given")]
    WrongJoinCode,
    #[error("{}", super::join_codes::state_words(*.0))]
    JoinCode(JoinCodeState),
    #[error("device {0} waits for no approval")]
    NotAwaitingApproval(DeviceId),
    #[error("device {0} is not in quarantine")]
    NotQuarantined(DeviceId),
    #[error(
        "the device is in quarantine; an administrator releases it (`constellation device release`)"
    )]
    Quarantined,
    #[error("{0} was revoked: it has no access and gets no work anyway")]
    RevokedAnyway(String),
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
