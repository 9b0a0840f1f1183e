//! Settings and their sources, from weak to strong: defaults, the user's file, the environment, managed
//! settings. A command-line flag overrides everything except managed settings.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use platform::managed::Managed;
use platform::sensors::Thermal;
use protocol::Pin;
use protocol::join::Join;
use protocol::setting::bytes_of;
use worker::{IdlePolicy, PresenceDetail};

mod change;
mod check;
#[cfg(test)]
mod documents;
mod error;
mod layer;
#[cfg(test)]
mod manifests;
mod shown;
#[cfg(test)]
pub(crate) mod tests;
mod value;

pub use error::SettingsError;
use layer::Layer;
pub use protocol::setting::Key;
pub use value::{BackendSetting, Chosen, Source};

/// Effective settings of this machine. Settings that commands use have fields; [`Settings::shown`]
/// returns all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// URL of the coordinator. `None` searches the local network.
    pub coordinator_url: Chosen<Option<String>>,
    /// SHA-256 fingerprint of the coordinator's public key.
    pub coordinator_pin: Chosen<Option<Pin>>,
    /// Join code that enrolls this machine if it is in no cluster yet.
    pub enrollment_code: Chosen<Option<Join>>,
    /// Maximum memory of a trainer in gigabytes. `None` means half of the machine's memory.
    pub maximum_memory_gb: Chosen<Option<f64>>,
    /// Maximum size of a worker's blob cache in gigabytes.
    pub maximum_cache_gb: Chosen<f64>,
    /// Maximum upload rate in megabits per second. `None` means unlimited.
    pub maximum_upload_mbps: Chosen<Option<f64>>,
    pub backend: Chosen<BackendSetting>,
    /// Log filter such as `info` or `warn,worker=debug`.
    pub log_level: Chosen<String>,
    all: Layer,
}

/// Locations of the settings on a machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// The user's file. `None` without a home folder.
    pub user: Option<PathBuf>,
    pub managed: Managed,
}

impl Places {
    /// Returns this machine's locations. No environment variable can change the location of managed settings.
    pub fn system() -> Self {
        let names: Vec<&str> = Key::ALL.iter().map(|key| key.name()).collect();
        Self {
            user: platform::folders::settings().ok().map(|folder| folder.join("settings.toml")),
            managed: platform::managed::settings(&names),
        }
    }
}

impl Settings {
    /// Reads all sources of settings on this machine.
    ///
    /// # Errors
    /// A file or variable is invalid. The message names it and the invalid value.
    pub fn load() -> Result<Self, SettingsError> {
        let places = Places::system();
        if let Some(folder) = places.user.as_deref().and_then(Path::parent) {
            // An unreadable file is reported below.
            drop(platform::private::tighten(folder));
        }
        Self::load_from(&places, |name| std::env::var(name).ok())
    }

    /// Like [`Settings::load`], for these locations.
    ///
    /// # Errors
    /// The same.
    pub fn load_from(
        places: &Places,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let user = match &places.user {
            Some(path) => Layer::from_file(path, &Source::User(path.clone()), true)?,
            // Without a home folder there is no user's file. Commands that need a folder report that.
            None => Layer::default(),
        };
        let environment = Layer::from_environment(variable)?;
        let managed = Layer::from_managed(&places.managed)?;
        Ok(Self::resolve(managed.over(environment).over(user)))
    }

    fn resolve(all: Layer) -> Self {
        let settings = Self {
            coordinator_url: all.optional(Key::CoordinatorUrl),
            coordinator_pin: all.optional(Key::CoordinatorPin),
            enrollment_code: all.optional(Key::EnrollmentCode),
            maximum_memory_gb: all.optional(Key::MaximumMemoryGb),
            maximum_cache_gb: all.value(Key::MaximumCacheGb),
            maximum_upload_mbps: all.optional(Key::MaximumUploadMbps),
            backend: all.value(Key::Backend),
            log_level: all.value(Key::LogLevel),
            all,
        };
        tracing::debug!(?settings, "settings and their sources");
        settings
    }

    /// Returns a setting as text and its source. The text is `None` if it isn't set.
    pub fn text(&self, key: Key) -> Chosen<Option<String>> {
        self.all.optional(key)
    }

    /// Returns whether a boolean setting is on.
    pub fn is_on(&self, key: Key) -> bool {
        self.all.value(key).value
    }

    /// Returns whether the organization manages any setting.
    pub fn is_managed(&self) -> bool {
        self.all.0.values().any(|chosen| chosen.source.is_managed())
    }

    /// Returns whether the organization manages the cluster of this machine.
    pub fn is_cluster_managed(&self) -> bool {
        let keys = [Key::CoordinatorUrl, Key::CoordinatorPin, Key::EnrollmentCode];
        keys.into_iter().any(|key| self.text(key).source.is_managed())
    }

    /// Returns the maximum size of the worker's cache in bytes.
    pub fn maximum_cache_bytes(&self) -> u64 {
        bytes_of(self.maximum_cache_gb.value)
    }

    /// Returns the maximum memory of a trainer in bytes, if it is set.
    pub fn maximum_memory_bytes(&self) -> Option<u64> {
        self.maximum_memory_gb.value.map(bytes_of)
    }

    /// Returns how much detail the coordinator receives while this machine may not train.
    pub fn presence(&self) -> PresenceDetail {
        self.choice(Key::PresenceDetail, PresenceDetail::named).unwrap_or_default()
    }

    /// Returns the policy for when this machine may train.
    pub fn policy(&self) -> IdlePolicy {
        let percent: u8 = self.all.value(Key::MinimumBattery).value;
        let usual = IdlePolicy::default();
        IdlePolicy {
            idle: Duration::from_secs(self.all.value(Key::IdleSeconds).value),
            schedule: self.all.value(Key::Schedule).value,
            allow_battery: self.is_on(Key::AllowBattery),
            minimum_battery: f32::from(percent) / 100.0,
            pause_during_calls: self.is_on(Key::PauseDuringCalls),
            pause_during_video: self.is_on(Key::PauseDuringVideo),
            pause_in_full_screen: self.is_on(Key::PauseInFullScreen),
            maximum_thermal: self
                .choice(Key::MaximumThermalState, Thermal::named)
                .unwrap_or(usual.maximum_thermal),
            ..usual
        }
    }

    fn choice<T>(&self, key: Key, named: fn(&str) -> Option<T>) -> Option<T> {
        self.text(key).value.and_then(|text| named(&text))
    }
}

impl Layer {
    /// Returns the value, which was validated when it was read, or the table's default.
    fn optional<T: FromStr>(&self, key: Key) -> Chosen<Option<T>> {
        if let Some(Chosen { value, source }) = self.0.get(&key) {
            return Chosen { value: value.0.parse().ok(), source: source.clone() };
        }
        let default = key.declaration().kind.default_text();
        Chosen { value: default.and_then(|text| text.parse().ok()), source: Source::Default }
    }

    /// Like `optional`, for a setting that has a default or whose type has a natural one, such as an empty schedule.
    fn value<T: FromStr + Default>(&self, key: Key) -> Chosen<T> {
        let Chosen { value, source } = self.optional(key);
        Chosen { value: value.unwrap_or_default(), source }
    }
}

/// Returns `flag`, otherwise the folder of this name in the standard location.
///
/// # Errors
/// No flag is given and there is no home folder.
pub fn data_dir(flag: Option<&Path>, name: &str) -> Result<PathBuf, platform::folders::NoHome> {
    match flag {
        Some(folder) => Ok(folder.to_owned()),
        None => Ok(platform::folders::data()?.join(name)),
    }
}
