//! Devices: what registers, what it says of itself, and what is known of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fingerprint::Fingerprint;
use crate::{DeviceId, LeaseId, Timestamp};

/// Body of `POST /devices/register`. The credential is a join token in `Authorization`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceRegistration {
    pub name: String,
    /// Such as `mac`, `linux`.
    pub device_type: String,
    pub cores: u32,
    pub ram_gb: f64,
    pub gpu_available: bool,
    #[serde(default)]
    pub gpu_name: Option<String>,
    /// What stays the same on this machine: the same Mac registering again is the same device.
    pub hardware_id: String,
    /// Tells several workers on one machine apart; 0 for the usual only one.
    #[serde(default)]
    pub instance: u32,
    pub fingerprint: Fingerprint,
}

/// Answer to a registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    pub id: DeviceId,
    /// The device's own token, shown once; an earlier one of this device stops working.
    pub token: String,
    /// Seconds until the next heartbeat is due.
    pub heartbeat_seconds: u32,
}

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

/// Body of `POST /devices/{id}/heartbeat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    pub state: DeviceState,
    #[serde(default)]
    pub reason: Option<HoldReason>,
    /// The lease it believes it holds.
    #[serde(default)]
    pub lease: Option<LeaseId>,
}

/// Answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    pub heartbeat_seconds: u32,
    /// Whether the lease it named still counts; true where it named none.
    pub lease_held: bool,
}

/// Why a device gets no work until an administrator releases it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quarantine {
    pub since: Timestamp,
    pub reason: String,
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
    /// Set while it gets no work because of its bad updates.
    #[serde(default)]
    pub quarantined: Option<Quarantine>,
}
