//! Devices: heartbeats, records, quarantine and approval.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::enrollment::Session;
use crate::fingerprint::Fingerprint;
use crate::{DeviceId, LeaseId, Timestamp, text};

/// Activity of a device, in the coarse form that leaves a Mac.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Connected and ready for a lease.
    Waiting,
    Training,
    /// Connected, but held back by its user or its policy.
    Held,
    /// No heartbeat for longer than expected. A worker that stops reports it itself, so that nobody has to wait.
    Offline,
}

/// Reason why a device is held back. Coarse on purpose, for privacy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    InUse,
    OnBattery,
    TooWarm,
    Scheduled,
    Paused,
    /// A sensor that the policy needs is not available on this machine.
    Unknown,
}

impl HoldReason {
    /// Returns the text for people.
    pub const fn to_text(self) -> &'static str {
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
    /// Lease that the device believes it holds.
    #[serde(default)]
    pub lease: Option<LeaseId>,
    /// Session of the worker that sends the heartbeat.
    #[serde(default)]
    pub session: Option<Session>,
}

/// Quarantine: the device gets no work until an administrator releases it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    pub since: Timestamp,
    pub reason: String,
    /// Administrator who quarantined the device. Absent if it was quarantined because its updates were rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Body of `POST /devices/{id}/quarantine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineRequest {
    /// Shown in the dashboard and on the device: one line of at most 200 characters.
    pub reason: String,
}

/// Response to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// Seconds until the next heartbeat is due.
    pub heartbeat_seconds: u32,
    /// Period in seconds over which devices spread their reconnections after they lose the connection together.
    pub return_within_seconds: f64,
    /// Whether the named lease is still valid. True if the heartbeat named none.
    pub lease_held: bool,
    /// Reason why the device currently gets no work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Quarantine>,
    /// Whether the device gets no work until an administrator approves its key. `quarantined` contains the same
    /// as text, for workers that don't know this field.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaiting_approval: bool,
}

/// Pending approval of a device: its machine is known under another key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingApproval {
    /// Earlier device record of the machine. An approval removes it.
    pub replaces: DeviceId,
    /// Name of the earlier record.
    pub name: String,
}

/// Body of `POST /devices/{id}/approve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRequest {
    /// Whether to copy the labels of the removed record.
    #[serde(default)]
    pub keep_labels: bool,
}

/// Device as shown by `GET /devices`: the stored fields first.
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the API")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    pub device_type: String,
    pub cores: u32,
    pub ram_gb: f64,
    pub gpu_available: bool,
    pub gpu_name: Option<String>,
    /// Whether the device sent a heartbeat recently.
    pub is_active: bool,
    pub last_seen: Timestamp,
    pub created_at: Timestamp,
    pub state: DeviceState,
    /// Offline because its worker stopped in an orderly way, not because it fell silent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    pub reason: Option<HoldReason>,
    pub fingerprint: Fingerprint,
    pub revoked: bool,
    /// Unusual origin of the record: wiped, or a copy of another device.
    #[serde(default)]
    pub note: Option<String>,
    /// Set while the device is quarantined because of bad updates or by an administrator.
    #[serde(default)]
    pub quarantined: Option<Quarantine>,
    /// Set until an administrator approves the device's key, because its machine is known under another one.
    /// Until then it gets no work and has no labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<PendingApproval>,
    /// Labels that administrators assign. A job can be limited to devices with one of its labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Version of Constellation, reported at registration.
    #[serde(default)]
    pub version: Option<String>,
    /// Last reported with a lease. Absent before the first step.
    #[serde(default)]
    pub examples_per_second: Option<f64>,
    #[serde(default)]
    pub contribution: Contribution,
}

const MOST_LABELS: usize = 20;
const LONGEST_LABEL: usize = 50;

/// Checks labels of a device or a job. The error says what is allowed.
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

/// Totals of a device's accepted updates.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Contribution {
    /// Rows trained on, including repeats.
    pub examples: u64,
    /// Time spent in training steps, in seconds.
    pub seconds: f64,
    pub leases: u64,
    /// Part of `seconds` that was reported today (UTC).
    pub seconds_today: f64,
}

/// Body of `PATCH /devices/{id}`. Omitted fields stay unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DeviceChange {
    /// Name of the device. It stays when the device registers again.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub labels: Option<Vec<String>>,
}

/// Response to `POST /devices/cleanup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanedUp {
    pub removed: Vec<RemovedDevice>,
}

/// Removed device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedDevice {
    pub id: DeviceId,
    pub name: String,
}
