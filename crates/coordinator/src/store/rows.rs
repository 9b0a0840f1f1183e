//! What the database keeps: one struct a table.

use federation::machine::Machine;
use protocol::api::{Model, Role};
use protocol::device::{Device, DeviceRegistration, DeviceState, HoldReason, Quarantine};
use protocol::fingerprint::Fingerprint;
use protocol::{DeviceId, JobId, LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

/// A job and all that is decided about it.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub(crate) id: JobId,
    pub(crate) created_at: Timestamp,
    pub(crate) machine: Machine,
}

/// An enrolled device.
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
    /// As the device said last.
    pub(crate) state: DeviceState,
    pub(crate) reason: Option<HoldReason>,
    pub(crate) revoked: bool,
    /// Set while it gets no work.
    #[serde(default)]
    pub(crate) quarantined: Option<Quarantine>,
    /// Its updates that were refused lately.
    #[serde(default)]
    pub(crate) refused: Vec<RefusedUpdate>,
}

/// An update that was refused as a bad one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedUpdate {
    pub(crate) lease: LeaseId,
    pub(crate) job: JobId,
    pub(crate) at: Timestamp,
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
            quarantined: None,
            refused: Vec::new(),
        }
    }

    /// As the API shows it; `active` is whether it has been heard of lately.
    pub(crate) fn view(&self, active: bool) -> Device {
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
            reason: self.reason.filter(|_| active),
            fingerprint: self.fingerprint.clone(),
            revoked: self.revoked,
            quarantined: self.quarantined.clone(),
        }
    }
}

/// A credential; only the hash of the token is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    /// BLAKE3 of the token.
    pub(crate) hash: [u8; 32],
    pub(crate) role: Role,
    pub(crate) name: String,
    /// The device it belongs to; only with [`Role::Device`].
    pub(crate) device: Option<DeviceId>,
    pub(crate) created_at: Timestamp,
}

/// A registered model with its card.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelRow {
    pub(crate) model: Model,
    /// A JSON object.
    pub(crate) card: serde_json::Value,
}
