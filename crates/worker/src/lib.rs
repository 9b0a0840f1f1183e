//! Worker: registers its device, requests leases while the machine may train, runs the trainer for them, and
//! reports the results. It computes nothing itself.
//!
//! Each lease is finished, resumed or returned. Results stay on disk, encrypted with this device's key, until
//! the coordinator has answered. Work survives restarts of the coordinator and the worker and crashes of the
//! trainer.

mod cache;
mod enroll;
mod error;
mod files;
mod heartbeat;
mod identity;
mod idle_monitor;
mod input_warning;
mod key;
mod lease;
mod lease_workspace;
mod memory;
mod net;
mod policy;
mod run;
mod schedule;
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
pub use input_warning::input_warning;
pub use key::forget;
pub use net::tunnel::connect;
pub use net::{pinned_tls, proxy};
pub use policy::{IdlePolicy, PresenceDetail, UserOverride, When};
pub use run::run;
pub use schedule::Schedule;
pub use settings::{JoinSource, WorkerSettings};
pub use status::{LeaseContribution, Status};
pub use unenroll::{UnenrollNotice, UnenrollReport, unenroll};

use net::{client, response, retry};
