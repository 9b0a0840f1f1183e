//! What a worker is told from outside.

use std::path::PathBuf;
use std::sync::Arc;

use platform::sensors::{Sensors, SystemSensors};
use protocol::Pin;
use protocol::join::Join;
use tokio::sync::watch;
use trainer::TrainerCommand;

use crate::{IdlePolicy, PresenceDetail};

/// Everything a worker needs; [`Settings::new`] has the defaults.
#[derive(Clone)]
pub struct Settings {
    /// Identity, leases in work and the blob cache; taken for this process alone.
    pub data_dir: PathBuf,
    /// The coordinator's URL, none while it isn't known; may change at any time.
    pub coordinator: watch::Receiver<Option<String>>,
    /// Whose key is trusted; none takes the join code's, or the one that the device was enrolled with.
    pub pin: Option<Pin>,
    /// A join code; needed until the device is enrolled.
    pub join: Option<Join>,
    /// Who gave the join code.
    pub join_source: JoinSource,
    /// The device's name; none takes the machine's.
    pub name: Option<String>,
    /// Tells several workers on one machine apart.
    pub instance: u32,
    pub trainer: TrainerCommand,
    /// When it may train; a change counts at once.
    pub policy: watch::Receiver<IdlePolicy>,
    /// What the coordinator hears while it may not.
    pub presence: PresenceDetail,
    /// What it knows of the machine.
    pub sensors: Arc<dyn Sensors>,
    /// That a trainer may take; none for half of the machine's.
    pub maximum_memory_bytes: Option<u64>,
    /// That everything it keeps of work may take.
    pub maximum_cache_bytes: u64,
    /// Of the disk, that it leaves free whatever else it may take.
    pub minimum_free_bytes: u64,
    /// Megabits a second; none for as fast as it goes.
    pub maximum_upload_mbps: Option<f64>,
    /// The trainer at background priority.
    pub nice: bool,
}

/// Who gave a join code: it decides whether an enrolled device may move to another cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JoinSource {
    /// A person, by the command line, the environment, their settings or the app. The device stays in
    /// its cluster until it leaves.
    #[default]
    Person,
    /// The organization, by a managed setting. The device leaves its cluster for the code's.
    Managed,
}

impl Settings {
    /// The defaults: the default policy, half of the machine's memory, 10 GB of cache, 2 GB of the disk left free, uploads as fast as they go.
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
            maximum_cache_bytes: 10_000_000_000,
            minimum_free_bytes: 2_000_000_000,
            maximum_upload_mbps: None,
            nice: true,
        }
    }
}
