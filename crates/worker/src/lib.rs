//! A worker: registers its device, asks for leases when the machine may train, supervises the
//! trainer that does them, and reports. It computes nothing itself.
//!
//! A lease is finished, resumed or given back, and never forgotten: what was trained stays on disk
//! until the coordinator answered for it, sealed with this device's key, and the work goes on through a coordinator's restart, a
//! worker's restart and a trainer's death.

mod cache;
mod client;
mod endpoint;
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
pub mod pinned_tls;
pub mod policy;
pub mod proxy;
mod renewal;
mod report;
mod response;
mod retry;
mod run;
pub mod schedule;
mod settings;
mod status;
mod storage_key;
#[cfg(test)]
mod test_server;
mod throttle;
mod trainers;
mod tunnel;
mod typed_code_join;
mod unenroll;
mod upload;

pub use error::WorkerError;
pub use identity::{Cluster, belongs_to, enrolled_with};
pub use key::forget;
pub use policy::{IdlePolicy, PresenceDetail, UserOverride, When};
pub use run::run;
pub use schedule::Schedule;
pub use settings::{JoinSource, WorkerSettings};
pub use status::{LeaseContribution, Status};
pub use tunnel::connect;
pub use unenroll::{UnenrollNotice, UnenrollReport, unenroll};
