//! A worker: registers its device, asks for leases when the machine may train, supervises the
//! trainer that does them, and reports. It computes nothing itself.
//!
//! A lease is finished, resumed or given back, and never forgotten: what was trained stays on disk
//! until the coordinator answered for it, sealed with this device's key, and the work goes on through a coordinator's restart, a
//! worker's restart and a trainer's death.

mod answer;
mod cache;
mod client;
mod desk;
mod enrol;
mod error;
mod files;
mod first_contact;
mod heartbeat;
mod identity;
mod key;
mod lease;
mod leave;
mod memory;
mod owner;
pub mod pinned;
pub mod policy;
pub mod proxy;
mod reach;
mod renewal;
mod report;
mod retry;
mod run;
pub mod schedule;
mod settings;
mod status;
#[cfg(test)]
mod test_server;
mod throttle;
mod trainers;
mod tunnel;
mod upload;
mod vault;

pub use error::WorkerError;
pub use identity::{Cluster, belongs_to, enrolled_with};
pub use key::forget;
pub use leave::{Farewell, Left, leave};
pub use policy::{IdlePolicy, PresenceDetail, When, Wish};
pub use run::run;
pub use schedule::Schedule;
pub use settings::{JoinSource, Settings};
pub use status::{Given, Status};
pub use tunnel::connect;
