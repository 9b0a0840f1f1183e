//! A worker: registers its device, asks for leases when the machine may train, supervises the
//! trainer that does them, and reports. It computes nothing itself.
//!
//! A lease is finished, resumed or given back, and never forgotten: what was trained stays on disk
//! until the coordinator answered for it, sealed with this device's key, and the work goes on through a coordinator's restart, a
//! worker's restart and a trainer's death.

mod cache;
mod enroll;
mod error;
mod files;
mod heartbeat;
mod identity;
mod idle_monitor;
mod key;
mod lease;
mod lease_workspace;
mod memory;
mod net;
pub mod policy;
mod run;
pub mod schedule;
mod settings;
mod status;
mod storage_key;
#[cfg(test)]
mod test_server;
mod trainers;
mod typed_code_join;
mod unenroll;
mod upload;

pub use error::WorkerError;
pub use identity::{Cluster, belongs_to, enrolled_with};
pub use key::forget;
pub use net::tunnel::connect;
pub use net::{pinned_tls, proxy};
pub use policy::{IdlePolicy, PresenceDetail, UserOverride, When};
pub use run::run;
pub use schedule::Schedule;
pub use settings::{JoinSource, WorkerSettings};
pub use status::{LeaseContribution, Status};
pub use unenroll::{UnenrollNotice, UnenrollReport, unenroll};

use net::{client, response, retry, tunnel};
