//! Numeric fingerprints: everything that decides the bits of a trainer's results. See
//! docs/design/randomness-and-exact-sums.md.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Compute backend for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// burn's flex backend.
    Cpu,
    /// Metal on a Mac, Vulkan elsewhere.
    Wgpu,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
        })
    }
}

/// Numeric fingerprint. Two trainers with equal fingerprints give the same bits for the same work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Fingerprint {
    /// Version of Constellation.
    pub app: String,
    /// Version of burn.
    pub burn: String,
    pub backend: Backend,
    /// CPU: architecture and SIMD level, such as `x86_64+avx2`. GPU: family and driver.
    pub hardware: String,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.app, self.burn, self.backend, self.hardware)
    }
}
