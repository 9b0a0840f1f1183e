//! Compute contributed by a cluster's devices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fingerprint::Backend;

/// Response of `GET /usage`. Days are UTC days. Only accepted updates count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Throughput of all devices that hold a lease, from their latest reports.
    pub examples_per_second: f64,
    pub today: UsageToday,
    /// The last 14 days, oldest first. The last entry is today.
    pub days: Vec<UsageDay>,
}

/// Compute contributed today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageToday {
    /// Seconds of training steps on GPUs, from the updates.
    pub gpu_seconds: f64,
    pub cpu_seconds: f64,
    /// Rows trained on, counting repeats.
    pub examples: u64,
    pub leases: u64,
    /// Estimated energy, not a measurement: training seconds times a typical power draw. A Mac
    /// counts as 45 W on its GPU and 35 W on its CPU, any other machine as 300 W and 100 W.
    pub kilowatt_hours: f64,
}

/// Compute contributed on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageDay {
    /// Date such as `2026-11-24`.
    pub date: String,
    /// Training seconds on GPUs and CPUs.
    pub seconds: f64,
    pub examples: u64,
}

/// Returns the estimated power draw in watts of a training device, by its type. A Mac with Apple
/// silicon draws 20 to 60 W under load. Other machines count as desktops with or without an active
/// GPU. The estimate includes idle power and excludes screens.
pub fn watts(device_type: &str, backend: Backend) -> f64 {
    match (device_type, backend) {
        ("mac", Backend::Wgpu) => 45.0,
        ("mac", Backend::Cpu) => 35.0,
        (_, Backend::Wgpu) => 300.0,
        (_, Backend::Cpu) => 100.0,
    }
}
