//! Settings of a coordinator.

use crate::backup::BackupSchedule;
use crate::cluster::OwnCertificate;
use crate::http::server::headers::Origin;
use data::Sources;
use protocol::setting::Setting;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use trainer::TrainerCommand;

/// Settings of a coordinator.
#[derive(Debug, Clone)]
pub struct CoordinatorSettings {
    /// Data folder, used by one coordinator at a time.
    pub data_dir: PathBuf,
    /// Listen address. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// Name of the cluster.
    pub name: String,
    /// Certificate for browsers, in place of the cluster's own.
    pub certificate: Option<OwnCertificate>,
    /// Lease timeout, and minimum time for a device without progress: `docs/reliability.md`.
    pub lease_timeout: Duration,
    /// Trainer that creates initial weights and evaluates models.
    pub trainer: TrainerCommand,
    /// Trainer that computes predictions, on the CPU.
    pub predictor: TrainerCommand,
    /// Runs both at background priority, for a machine in use. Rounds wait for them.
    pub nice: bool,
    /// These settings with the source of each, for display.
    pub shown: Vec<Setting>,
    pub sources: Sources,
    /// Other origins whose pages may send requests with a token. Usually none.
    pub allow_origins: Vec<Origin>,
    /// Disk quota of the data folder, in bytes. `None` if only the disk limits it.
    pub maximum_disk_bytes: Option<u64>,
    /// Schedule of automatic backups.
    pub backups: Option<BackupSchedule>,
}
