//! The coordinator: it keeps the truth about devices, jobs and models, and decides. HTTP outside,
//! SQLite and blobs inside, and between them one writer, the driver.
//!
//! ```text
//! http ──asks──> driver ──commits──> store          views <──publishes── driver
//!   │              │ └──runs steps: prepare, aggregate, evaluate, register
//!   └──bytes──> blobs <──┘
//! ```

mod aggregate;
pub mod backup;
mod blobs;
mod caller;
mod challenge;
mod clock;
mod cluster;
mod credential;
mod driver;
mod evaluate;
mod explain;
mod glance;
mod http;
mod job_log;
mod moment;
mod pace;
mod points;
pub mod prepare;
mod register;
mod sealed_secrets;
mod shelf;
mod start;
mod store;
mod telling;
mod traffic;
mod usage;
mod views;

pub use backup::BackupSchedule;
pub use caller::Principal;
pub use cluster::{ClusterError, ClusterIdentity, OwnCertificate, pin_of};
pub use data::{HubSettings, Sources};
pub use http::{InvalidOrigin, Origin};
pub use moment::{Moment, Observer, Phase};
pub use points::{Point, Points};
pub use start::{
    ADDRESS_FILE, ADMIN_TOKEN_FILE, Running, Settings, StartError, start, start_observed,
};
pub use trainer::TrainerCommand;
