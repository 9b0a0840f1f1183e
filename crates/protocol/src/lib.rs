//! Wire protocol of both sides of the network: identifiers, job and model specs, plans, leases, messages and the
//! tensor codec. This crate performs no I/O, reads no clock and uses no ambient randomness.

pub mod api;
pub mod audit;
mod blob;
pub mod codec;
pub mod dataset;
pub mod device;
pub mod duration;
pub mod encrypted_file;
pub mod enrollment;
pub mod fingerprint;
mod ids;
pub mod job;
pub mod join;
pub mod lease;
pub mod metrics;
pub mod model;
pub mod model_file;
pub mod notice;
mod opaque;
pub mod pin;
pub mod plan;
mod problem;
pub mod profile;
pub mod property_list;
mod rng;
pub mod session;
pub mod setting;
pub mod text;
mod time;
pub mod trainer;
pub mod unknown_field;
pub mod usage;
mod version_name;
pub mod webhook;

pub use blob::BlobHash;
pub use ids::{DeliveryId, DeviceId, JobId, LeaseId, ModelId, NoticeId, UploadId, WebhookId};
pub use opaque::Opaque;
pub use pin::Pin;
pub use problem::Problem;
pub use rng::{RngDomain, SeededRng};
pub use time::Timestamp;
pub use version_name::split_version;

/// Version of the wire protocol, sent in every message as `Constellation-Protocol`.
pub const PROTOCOL_VERSION: u32 = 1;
/// Header that carries [`PROTOCOL_VERSION`].
pub const PROTOCOL_HEADER: &str = "Constellation-Protocol";
