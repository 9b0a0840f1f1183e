//! What a cluster's devices gave.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fingerprint::Backend;

/// Answer to `GET /usage`. Days are those of UTC; only updates that counted are in them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Of all devices that hold a lease now, as they said last.
    pub examples_per_second: f64,
    pub today: UsageToday,
    /// The last 14, the oldest first; the last one is today.
    pub days: Vec<UsageDay>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageToday {
    /// Spent in steps on GPUs, as the updates say.
    pub gpu_seconds: f64,
    pub cpu_seconds: f64,
    /// Rows trained on, repeats counted.
    pub examples: u64,
    pub leases: u64,
    /// An estimate, not a measurement: the seconds times what a device of its kind is taken to draw
    /// under load: a Mac 45 W on its GPU and 35 W on its CPU, any other machine 300 W and 100 W.
    pub kilowatt_hours: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageDay {
    /// Such as `2026-11-24`.
    pub date: String,
    /// On GPUs and CPUs together.
    pub seconds: f64,
    pub examples: u64,
}

/// What a device is taken to draw while it trains, in watts, whatever it really is: an estimate by its
/// kind. A Mac with Apple silicon draws 20 to 60 under load; other machines are taken for a desktop,
/// with or without a GPU at work. Idle power counts in, and screens don't.
pub fn watts(device_type: &str, backend: Backend) -> f64 {
    match (device_type, backend) {
        ("mac", Backend::Wgpu) => 45.0,
        ("mac", Backend::Cpu) => 35.0,
        (_, Backend::Wgpu) => 300.0,
        (_, Backend::Cpu) => 100.0,
    }
}
