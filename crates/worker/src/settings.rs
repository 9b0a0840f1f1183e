//! Settings of a worker.

use std::path::PathBuf;
use std::sync::Arc;

use platform::sensors::{Sensors, SystemSensors};
use protocol::Pin;
use protocol::join::Join;
use protocol::setting::{Key, bytes_of};
use tokio::sync::watch;
use trainer::TrainerCommand;

use crate::{IdlePolicy, PresenceDetail};

/// Settings of a worker. [`WorkerSettings::new`] has the defaults.
#[derive(Clone)]
pub struct WorkerSettings {
    /// Folder of the identity, current leases and the blob cache. Locked by this process.
    pub data_dir: PathBuf,
    /// URL of the coordinator. `None` while it isn't known; may change at any time.
    pub coordinator: watch::Receiver<Option<String>>,
    /// Trusted key. `None` uses the pin of the join code or of the enrollment.
    pub pin: Option<Pin>,
    /// Join code; needed until the device is enrolled.
    pub join: Option<Join>,
    /// Source of the join code.
    pub join_source: JoinSource,
    /// Name of the device. `None` uses the machine's name.
    pub name: Option<String>,
    /// Worker number, if this machine runs several workers.
    pub instance: u32,
    pub trainer: TrainerCommand,
    /// Policy for when it may train. Changes apply immediately.
    pub policy: watch::Receiver<IdlePolicy>,
    /// Detail that the coordinator receives while it may not train.
    pub presence: PresenceDetail,
    /// Sensors of the machine.
    pub sensors: Arc<dyn Sensors>,
    /// Maximum memory of a trainer in bytes. `None` means half of the machine's memory.
    pub maximum_memory_bytes: Option<u64>,
    /// Maximum size of all stored work in bytes.
    pub maximum_cache_bytes: u64,
    /// Bytes of the disk that always stay free.
    pub minimum_free_bytes: u64,
    /// Maximum upload rate in megabits per second. `None` means unlimited.
    pub maximum_upload_mbps: Option<f64>,
    /// Whether the trainer runs at background priority.
    pub nice: bool,
}

/// Source of a join code. It decides whether an enrolled device may move to another cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JoinSource {
    /// A person: the command line, the environment, the user's settings or the app. The device stays in
    /// its cluster until it leaves.
    #[default]
    Person,
    /// The organization: a managed setting. The device leaves its cluster for that of the code.
    Managed,
}

impl WorkerSettings {
    /// Returns the defaults of the settings; 2 GB of disk space stay free.
    pub fn new(
        data_dir: PathBuf,
        coordinator: watch::Receiver<Option<String>>,
        trainer: TrainerCommand,
    ) -> Self {
        Self {
            data_dir,
            coordinator,
            pin: None,
            join: None,
            join_source: JoinSource::default(),
            name: None,
            instance: 0,
            trainer,
            policy: watch::channel(IdlePolicy::default()).1,
            presence: PresenceDetail::default(),
            sensors: Arc::new(SystemSensors::new()),
            maximum_memory_bytes: None,
            maximum_cache_bytes: const { bytes_of(Key::MaximumCacheGb.default_number()) },
            minimum_free_bytes: 2_000_000_000,
            maximum_upload_mbps: None,
            nice: true,
        }
    }
}
