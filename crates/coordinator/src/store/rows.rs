//! Rows of the database, one struct for each table.

use federation::machine::{Changes, Machine};
use protocol::api::{Model, Role};
use protocol::device::{
    Contribution, Device, DeviceState, HoldReason, PendingApproval, Quarantine,
};
use protocol::enrollment::DeviceRegistration;
use protocol::fingerprint::Fingerprint;
use protocol::job::JobSpec;
use protocol::join::{JoinCodeState, JoinCodeView, JoinHint};
use protocol::{DeviceId, JobId, LeaseId, Opaque, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::cluster::sealed_secrets::SealedSecret;

/// Job with all its decisions.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) id: JobId,
    pub(crate) created_at: Timestamp,
    /// Creator, as named in the audit log.
    pub(crate) created_by: Option<String>,
    pub(crate) machine: Machine,
}

/// Changes of a job that a commit writes.
#[derive(Debug, Clone)]
pub(crate) struct JobChanges {
    pub(crate) id: JobId,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Option<String>,
    /// `None` for a job that is stored already.
    pub(crate) new_spec: Option<JobSpec>,
    pub(crate) machine: Changes,
}

impl JobChanges {
    /// Returns the changes of a job. `flush` is the number of rows of a kind to write although a
    /// crash may lose their changes.
    pub(crate) fn from_job(row: &JobRow, is_new: bool, flush: usize) -> Self {
        Self {
            id: row.id,
            created_at: row.created_at,
            created_by: row.created_by.clone(),
            new_spec: is_new.then(|| row.machine.spec().clone()),
            machine: row.machine.changes(flush),
        }
    }
}

/// Enrolled device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceRow {
    pub(crate) id: DeviceId,
    pub(crate) hardware_id: String,
    pub(crate) instance: u32,
    pub(crate) name: String,
    pub(crate) device_type: String,
    pub(crate) cores: u32,
    pub(crate) ram_gb: f64,
    pub(crate) gpu_available: bool,
    pub(crate) gpu_name: Option<String>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen: Timestamp,
    /// State that the device reported last.
    pub(crate) state: DeviceState,
    pub(crate) reason: Option<HoldReason>,
    pub(crate) revoked: bool,
    /// Ed25519 public key.
    pub(crate) public_key: Opaque,
    /// Join code that enrolled it. `None` if an administrator did.
    pub(crate) join_code: Option<String>,
    pub(crate) note: Option<DeviceNote>,
    /// Set until an administrator approves the key of this record.
    #[serde(default)]
    pub(crate) approval: Option<PendingApproval>,
    /// Set while the device gets no work.
    #[serde(default)]
    pub(crate) quarantined: Option<Quarantine>,
    /// Recently rejected updates.
    #[serde(default)]
    pub(crate) refused: Vec<RefusedUpdate>,
    /// Whether an administrator chose the name.
    #[serde(default)]
    pub(crate) is_named: bool,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    #[serde(default)]
    pub(crate) examples_per_second: Option<f64>,
    #[serde(default)]
    pub(crate) contribution: Contribution,
    /// Day of [`Contribution::seconds_today`].
    #[serde(default)]
    pub(crate) contributed_on: String,
}

/// Unusual origin of a device record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum DeviceNote {
    Rekeyed { at: Timestamp },
    Copy { of: String },
}

impl DeviceNote {
    fn to_text(&self) -> String {
        match self {
            Self::Rekeyed { at } => {
                format!("got a new key at {at}: the machine was wiped, or its data folder is new")
            }
            Self::Copy { of } => {
                format!("its data folder was copied from {of}; it is now a separate device")
            }
        }
    }
}

/// Rejected invalid update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedUpdate {
    pub(crate) lease: LeaseId,
    pub(crate) job: JobId,
    pub(crate) at: Timestamp,
    #[serde(default)]
    pub(crate) reason: String,
    /// Whether another device's update for the same seat was accepted.
    #[serde(default)]
    pub(crate) contradicted: bool,
}

impl DeviceRow {
    pub(crate) fn new(id: DeviceId, said: DeviceRegistration, now: Timestamp) -> Self {
        Self {
            id,
            hardware_id: said.hardware_id,
            instance: said.instance,
            name: said.name,
            device_type: said.device_type,
            cores: said.cores,
            ram_gb: said.ram_gb,
            gpu_available: said.gpu_available,
            gpu_name: said.gpu_name,
            fingerprint: said.fingerprint,
            created_at: now,
            last_seen: now,
            state: DeviceState::Waiting,
            reason: None,
            revoked: false,
            public_key: said.public_key,
            join_code: None,
            note: None,
            approval: None,
            quarantined: None,
            refused: Vec::new(),
            is_named: false,
            labels: Vec::new(),
            examples_per_second: None,
            contribution: Contribution::default(),
            contributed_on: String::new(),
        }
    }

    /// Copies what an earlier registration's record has beyond the device's own data. Labels decide
    /// whose rows a device gets, so they belong to the key; `keep_labels` says whether to copy
    /// them.
    pub(crate) fn inherit(&mut self, known: &Self, keep_labels: bool) {
        self.created_at = known.created_at;
        self.quarantined.clone_from(&known.quarantined);
        self.refused.clone_from(&known.refused);
        if keep_labels {
            self.labels.clone_from(&known.labels);
        }
        self.is_named = known.is_named;
        if known.is_named {
            self.name.clone_from(&known.name);
        }
        self.contribution = known.contribution;
        self.contributed_on.clone_from(&known.contributed_on);
    }

    fn to_text(&self) -> Option<String> {
        match &self.approval {
            Some(PendingApproval { name, .. }) => Some(format!(
                "shows a new key on the machine of {name}, and gets no work until an administrator \
                 approves it"
            )),
            None => self.note.as_ref().map(DeviceNote::to_text),
        }
    }

    /// Returns the API view. `active` is whether the device was heard from recently.
    pub(crate) fn view(&self, active: bool, now: Timestamp) -> Device {
        let mut contribution = self.contribution;
        if self.contributed_on != clock::date(now) {
            contribution.seconds_today = 0.0;
        }
        Device {
            id: self.id,
            name: self.name.clone(),
            device_type: self.device_type.clone(),
            cores: self.cores,
            ram_gb: self.ram_gb,
            gpu_available: self.gpu_available,
            gpu_name: self.gpu_name.clone(),
            is_active: active,
            last_seen: self.last_seen,
            created_at: self.created_at,
            state: if active { self.state } else { DeviceState::Offline },
            stopped: self.state == DeviceState::Offline,
            reason: self.reason.filter(|_| active),
            fingerprint: self.fingerprint.clone(),
            revoked: self.revoked,
            note: self.to_text(),
            quarantined: self.quarantined.clone(),
            approval: self.approval.clone(),
            labels: self.labels.clone(),
            version: Some(self.fingerprint.app.clone()),
            examples_per_second: self.examples_per_second,
            contribution,
        }
    }
}

/// Credential. Only the hash of the token is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    /// BLAKE3 of the token.
    pub(crate) hash: [u8; 32],
    pub(crate) role: Role,
    pub(crate) name: String,
    /// Device of the token. Set only with [`Role::Device`].
    pub(crate) device: Option<DeviceId>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// Time of last use when the row was read.
    pub(crate) last_used: Option<Timestamp>,
}

/// Join code. Only what is needed to recognize its secret is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JoinCodeRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) hint: JoinHint,
    /// Hash of the proof.
    pub(crate) proof: [u8; 32],
    /// Encrypted password for exchanges by the typed code.
    pub(crate) password: SealedSecret,
    pub(crate) uses: u32,
    pub(crate) maximum_uses: u32,
    /// Number of exchanges that were started and not finished.
    pub(crate) tries: u32,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) revoked: bool,
}

/// Number of unfinished exchanges, beyond one for each remaining use, that close a code.
const MOST_TRIES: u32 = 10;

impl JoinCodeRow {
    pub(crate) fn state(&self, now: Timestamp) -> JoinCodeState {
        let open_uses = self.maximum_uses.saturating_sub(self.uses);
        if self.revoked {
            JoinCodeState::Revoked
        } else if now >= self.expires_at {
            JoinCodeState::Expired
        } else if open_uses == 0 {
            JoinCodeState::UsedUp
        } else if self.tries >= open_uses.saturating_add(MOST_TRIES) {
            JoinCodeState::Closed
        } else {
            JoinCodeState::Open
        }
    }

    pub(crate) fn view(&self, now: Timestamp) -> JoinCodeView {
        JoinCodeView {
            id: self.id.clone(),
            name: self.name.clone(),
            state: self.state(now),
            uses: self.uses,
            maximum_uses: self.maximum_uses,
            tries: self.tries,
            expires_at: self.expires_at,
            created_at: self.created_at,
        }
    }
}

impl std::fmt::Debug for JoinCodeRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinCodeRow").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Registered model with its card.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelRow {
    pub(crate) model: Model,
    /// JSON object.
    pub(crate) card: serde_json::Value,
}

/// Signed-in browser. Only the hash of its secret is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    /// BLAKE3 of the session's secret.
    pub(crate) hash: [u8; 32],
    pub(crate) role: Role,
    pub(crate) name: String,
    /// Address of the sign-in.
    pub(crate) from: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used: Timestamp,
}
