//! Errors of the driver.

use protocol::join::JoinCodeState;
use protocol::{BlobHash, DeviceId, JobId, LeaseId, NoticeId, WebhookId};

use crate::store::StoreError;
use federation::machine::RejectedEvent;

/// Error of a request to the driver. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum DriverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rejected(#[from] RejectedEvent),
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    #[error("there is no device {0}; register it first")]
    UnknownDevice(DeviceId),
    #[error("this device doesn't hold lease {0}, and didn't recently")]
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
        "the device was revoked; an administrator can let it enroll again \
         (`constellation device reinstate`)"
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
    MachineActive { name: String, seconds: u64 },
    #[error(
        "another worker is at work as {name}: if this data folder was copied from another machine, \
         remove its identity.json and enroll it again; if two workers run on one machine, give each its \
         own --data-dir and --instance"
    )]
    SecondSession { name: String },
    #[error("there is no join code '{0}'")]
    UnknownJoinCode(String),
    #[error("no join code of this cluster matches; check that you entered it correctly")]
    WrongJoinCode,
    #[error("{}", super::join_code_index::state_words(*.0))]
    JoinCode(JoinCodeState),
    #[error("device {0} is not waiting for approval")]
    NotAwaitingApproval(DeviceId),
    #[error("device {0} is not in quarantine")]
    NotQuarantined(DeviceId),
    #[error(
        "the device is in quarantine; an administrator can release it (`constellation device release`)"
    )]
    Quarantined,
    #[error("{0} is not revoked")]
    NotRevoked(String),
    #[error("{0} was revoked: it already has no access and gets no work")]
    DeviceRevoked(String),
    #[error("there is no notice {0}")]
    UnknownNotice(NoticeId),
    #[error("there is no webhook {0}")]
    UnknownWebhook(WebhookId),
    #[error("the limit of {0} webhooks is reached; remove one first")]
    TooManyWebhooks(usize),
    #[error("blob {0} is missing or has the wrong length; upload its bytes first")]
    MissingBlob(BlobHash),
    #[error("there is no dataset '{0}'; GET /datasets shows the names")]
    UnknownDataset(String),
    #[error("{kind} '{name}' exists already; choose another name")]
    NameTaken { kind: &'static str, name: String },
    #[error(
        "dataset '{0}' exists already; choose another name, or add the file as its next version \
         (new_version=true; `constellation dataset add --new-version`)"
    )]
    DatasetExists(String),
    #[error("dataset '{0}' is archived; unarchive it first")]
    ArchivedDataset(String),
    #[error("job '{name}' is {status}: cancel it, or wait until it ends")]
    NotEnded { name: String, status: &'static str },
    #[error("{what} is in use: {}", users.join("; "))]
    InUse { what: String, users: Vec<String> },
    #[error("the coordinator is shutting down; try again in a moment")]
    Stopping,
}
