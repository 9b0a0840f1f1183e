//! Enrolling a device: what it sends, what it signs, and what it is told.
//!
//! A device owns a key. It shows that the key is its own by signing a challenge of the coordinator
//! together with everything that the signature must not be moved away from: the coordinator's pin,
//! the machine, the instance and what the machine computes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fingerprint::Fingerprint;
use crate::{DeviceId, Opaque, Pin};

/// Bytes of an Ed25519 public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Earlier runs that a session names at most.
pub const MOST_EARLIER: usize = 8;

const SIGNED_CONTEXT: &str = "Constellation 2026-11 device registration v1";

/// Answer to `POST /devices/challenge`: to be signed soon, in a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    pub challenge: String,
    /// Seconds for which it counts.
    pub expires_in: u32,
}

/// Body of `POST /devices/register`. The credential is a join code's proof in `Authorization`.
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
    /// The device's own, Ed25519 (RFC 8032), 32 bytes.
    pub public_key: Opaque,
    /// As [`Challenge`] gave it.
    pub challenge: String,
    /// By that key, over [`signed`].
    pub signature: Opaque,
    #[serde(default)]
    pub session: Option<Session>,
    /// The device whose data folder this one's is a copy of, where the worker noticed that.
    #[serde(default)]
    pub copy_of: Option<DeviceId>,
}

/// One run of a worker, so that two workers with one identity are told apart from one worker that
/// was started anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
// A person's is called so too.
#[schema(as = WorkerSession)]
pub struct Session {
    /// Made at every start.
    pub id: String,
    /// Earlier runs from the same data folder that the coordinator may still believe in.
    #[serde(default)]
    pub after: Vec<String>,
}

impl Session {
    /// Whether it is of a size that is kept.
    pub fn is_bounded(&self) -> bool {
        let fits = |id: &String| (1..=64).contains(&id.len());
        fits(&self.id) && self.after.len() <= MOST_EARLIER && self.after.iter().all(fits)
    }

    /// Whether this run goes on for that one.
    pub fn follows(&self, current: &str) -> bool {
        self.id == current || self.after.iter().any(|earlier| earlier == current)
    }
}

/// Answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    pub id: DeviceId,
    /// The device's own token, shown once; an earlier one of this device stops working.
    pub token: String,
    /// Seconds until the next heartbeat is due.
    pub heartbeat_seconds: u32,
    pub enrolment: Enrolment,
    /// Whether the device gets no work until an administrator approves its key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaiting_approval: bool,
}

/// What a registration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enrolment {
    /// A device that was not known.
    New,
    /// The same key on the same machine.
    Same,
    /// A known machine with a new key that an administrator's token vouched for.
    Rekeyed,
    /// A new device whose data folder was copied from another's.
    Copy,
}

/// What a device signs to register: BLAKE3 over the length and bytes of each part.
pub fn signed(
    challenge: &str,
    pin: &Pin,
    hardware_id: &str,
    instance: u32,
    fingerprint: &Fingerprint,
) -> [u8; 32] {
    let (instance, backend) = (instance.to_string(), fingerprint.backend.to_string());
    let parts: [&[u8]; 8] = [
        challenge.as_bytes(),
        pin.as_bytes(),
        hardware_id.as_bytes(),
        instance.as_bytes(),
        fingerprint.app.as_bytes(),
        fingerprint.burn.as_bytes(),
        backend.as_bytes(),
        fingerprint.hardware.as_bytes(),
    ];
    let mut hasher = blake3::Hasher::new_derive_key(SIGNED_CONTEXT);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Backend;

    fn fingerprint(app: &str, burn: &str) -> Fingerprint {
        let (app, burn) = (app.to_owned(), burn.to_owned());
        Fingerprint { app, burn, backend: Backend::Cpu, hardware: "x".into() }
    }

    #[test]
    fn every_part_is_signed_and_none_runs_into_the_next() {
        let (one, two) = (Pin::from_bytes([1; 32]), Pin::from_bytes([2; 32]));
        let all = [
            signed("c", &one, "h", 0, &fingerprint("1", "2")),
            signed("d", &one, "h", 0, &fingerprint("1", "2")),
            signed("c", &two, "h", 0, &fingerprint("1", "2")),
            signed("c", &one, "i", 0, &fingerprint("1", "2")),
            signed("c", &one, "h", 1, &fingerprint("1", "2")),
            signed("c", &one, "h", 0, &fingerprint("12", "")),
            signed("c", &one, "h", 0, &fingerprint("", "12")),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_run_follows_those_that_it_names() {
        let session = Session { id: "c".into(), after: vec!["a".into(), "b".into()] };
        assert!(["a", "b", "c"].iter().all(|earlier| session.follows(earlier)));
        assert!(!session.follows("d"));
    }
}
