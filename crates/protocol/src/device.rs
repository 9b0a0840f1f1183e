//! Devices: what one says of itself, and what is known of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::enrolment::Session;
use crate::fingerprint::Fingerprint;
use crate::{DeviceId, LeaseId, Timestamp, text};

/// What a device is doing, in words that leave a Mac.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Connected and ready for a lease.
    Waiting,
    Training,
    /// Connected, and its owner or policy holds it back.
    Held,
    /// No heartbeat for longer than expected.
    Offline,
}

/// Why a device is held back. Coarse on purpose (DESIGN §11.22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    InUse,
    OnBattery,
    TooWarm,
    Scheduled,
    Paused,
    /// A reading that the policy needs can't be had on this machine.
    Unknown,
}

impl HoldReason {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::InUse => "in use",
            Self::OnBattery => "on battery",
            Self::TooWarm => "too warm",
            Self::Scheduled => "outside its hours",
            Self::Paused => "paused",
            Self::Unknown => "not readable",
        }
    }
}

/// Body of `POST /devices/{id}/heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    pub state: DeviceState,
    #[serde(default)]
    pub reason: Option<HoldReason>,
    /// The lease it believes it holds.
    #[serde(default)]
    pub lease: Option<LeaseId>,
    /// The run of the worker that this is of.
    #[serde(default)]
    pub session: Option<Session>,
}

/// Why a device gets no work until an administrator releases it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    pub since: Timestamp,
    pub reason: String,
    /// The administrator who put it there; none where its updates were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /devices/{id}/quarantine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineRequest {
    /// For whoever looks at the device, on this side and on its own: at most 200 characters on one line.
    pub reason: String,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// Seconds until the next heartbeat is due.
    pub heartbeat_seconds: u32,
    /// Devices that lose their connections all at once come back over so many seconds.
    pub return_within_seconds: f64,
    /// Whether the lease it named still counts; true where it named none.
    pub lease_held: bool,
    /// Why it gets no work for now, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Quarantine>,
    /// Whether the device gets no work until an administrator approves its key. `quarantined` then says
    /// the same in words, for workers that don't know this field.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaiting_approval: bool,
}

/// The approval that a device record waits for: its machine is known under another key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingApproval {
    /// The device record that has the machine, and that an approval removes.
    pub replaces: DeviceId,
    /// Name of that record.
    pub name: String,
}

/// Body of `POST /devices/{id}/approve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRequest {
    /// Whether the labels of the record that is removed carry over.
    #[serde(default)]
    pub keep_labels: bool,
}

/// A device as `GET /devices` shows it: the kept fields first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    pub device_type: String,
    pub cores: u32,
    pub ram_gb: f64,
    pub gpu_available: bool,
    pub gpu_name: Option<String>,
    /// Whether it has been heard of lately.
    pub is_active: bool,
    pub last_seen: Timestamp,
    pub created_at: Timestamp,
    pub state: DeviceState,
    pub reason: Option<HoldReason>,
    pub fingerprint: Fingerprint,
    pub revoked: bool,
    /// How it came to be, where that is out of the ordinary: wiped, or a copy of another device.
    #[serde(default)]
    pub note: Option<String>,
    /// Set while it gets no work: because of its bad updates, or because an administrator says so.
    #[serde(default)]
    pub quarantined: Option<Quarantine>,
    /// Set until an administrator approves the device's key: its machine is known under another one.
    /// It gets no work and has no labels until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<PendingApproval>,
    /// What an administrator sorts it by; a job may take only devices with one of some labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Of Constellation, as it said when it registered.
    #[serde(default)]
    pub version: Option<String>,
    /// As it said last of a lease; none before its first step.
    #[serde(default)]
    pub examples_per_second: Option<f64>,
    #[serde(default)]
    pub contribution: Contribution,
}

const MOST_LABELS: usize = 20;
const LONGEST_LABEL: usize = 50;

/// Whether these can be labels, of a device or in a job; if not, what they must be.
pub fn check_labels(labels: &[String]) -> Result<(), String> {
    let is_label = |label: &String| {
        (1..=LONGEST_LABEL).contains(&label.chars().count())
            && label.trim() == label
            && text::check(label).is_ok()
    };
    if labels.len() <= MOST_LABELS && labels.iter().all(is_label) {
        return Ok(());
    }
    Err(format!(
        "must be at most {MOST_LABELS} labels of 1 to {LONGEST_LABEL} characters on one line each, \
         without spaces around them or characters that can't be seen"
    ))
}

/// What a device's updates that counted add up to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Contribution {
    /// Rows trained on, repeats counted.
    pub examples: u64,
    /// Spent in steps.
    pub seconds: f64,
    pub leases: u64,
    /// Of the seconds, those reported today (UTC).
    pub seconds_today: f64,
}

/// Body of `PATCH /devices/{id}`; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DeviceChange {
    /// It keeps this name when it registers again.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub labels: Option<Vec<String>>,
}

/// Answer to `POST /devices/cleanup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanedUp {
    pub removed: Vec<RemovedDevice>,
}

/// A device that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedDevice {
    pub id: DeviceId,
    pub name: String,
}
