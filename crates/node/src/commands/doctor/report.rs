//! Report of the doctor: the findings of all checks, and what they are about.

use protocol::setting::Setting;
use serde::Serialize;

use super::check::Check;

/// Findings of all checks.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) protocol: u32,
    pub(super) system: System,
    pub(super) checks: Vec<Check>,
    /// Empty if the settings can't be read.
    pub(super) settings: Vec<Setting>,
}

#[derive(Debug, Serialize)]
pub(super) struct System {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) kernel: String,
    pub(super) architecture: &'static str,
    pub(super) cores: u32,
    pub(super) memory_gb: f64,
}
