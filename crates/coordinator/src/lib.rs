//! Coordinator: stores devices, jobs and models, and schedules the work.
//!
//! HTTP is the interface, SQLite and blobs are the storage. One writer, the driver, connects them.
//!
//! ```text
//! http ──asks──> driver ──commits──> store          views <──publishes── driver
//!   │              │ └──runs steps: prepare, aggregate, evaluate, register
//!   └──bytes──> blobs <──┘
//! ```

mod access;
pub mod backup;
mod blobs;
mod clock;
mod cluster;
mod crash_points;
mod datasets;
mod driver;
mod http;
mod loopback;
mod notifications;
mod observer;
mod poll_interval;
mod staging;
mod start;
mod steps;
mod store;
mod traffic;
mod views;

pub use access::caller::Principal;
pub use backup::BackupSchedule;
pub use cluster::{ClusterError, ClusterIdentity, OwnCertificate, pin_of};
pub use crash_points::{CrashPoint, CrashPoints};
pub use data::{HubSettings, Sources};
pub use datasets::Datasets;
pub use http::server::headers::{InvalidOrigin, Origin};
pub use loopback::listen_command;
pub use observer::{Observer, ObserverEvent, StepPhase};
pub use start::{
    ADDRESS_FILE, ADMIN_TOKEN_FILE, CoordinatorSettings, Running, StartError, datasets_of, start,
    start_observed,
};
pub use steps::prepare;
pub use store::StoreError;
pub use trainer::TrainerCommand;

/// Whether the dashboard is embedded in this program. Without it, `/` is a page that says how to build it.
pub const fn has_dashboard() -> bool {
    cfg!(dashboard)
}
