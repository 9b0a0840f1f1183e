//! Constant settings of a machine.

use std::time::Duration;

use protocol::JobId;
use protocol::job::JobSpec;
use serde::{Deserialize, Serialize};

/// Constant settings of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineSettings {
    pub job: JobId,
    /// Checked with [`JobSpec::check`].
    pub spec: JobSpec,
    /// Lease timeout: time without a heartbeat after which a lease expires, and the least time that
    /// a device without progress is allowed. At least one second.
    #[serde(rename = "lease_seconds", with = "seconds")]
    pub lease_timeout: Duration,
}

/// Serialization of a duration as whole seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.as_secs().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}
