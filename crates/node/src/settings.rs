//! Settings and where each comes from: defaults < the user's file < the environment < managed
//! (DESIGN §9). A command-line flag goes over everything but what is managed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use platform::managed::Managed;
use platform::sensors::Thermal;
use protocol::Pin;
use protocol::join::Join;
use serde::{Deserialize, Serialize};
use worker::{IdlePolicy, JoinSource, PresenceDetail, Schedule};

mod change;
mod key;
mod layer;
#[cfg(test)]
mod manifests;
mod shown;
#[cfg(test)]
pub(crate) mod tests;

pub use key::{Declaration, Key, Range};
use layer::Layer;
pub use layer::SettingsError;
pub use shown::shown;

/// Where trainers compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum BackendChoice {
    /// A GPU that passes its self-test, else the CPU.
    #[default]
    Auto,
    Cpu,
    Wgpu,
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
        })
    }
}

/// Who decided a setting, from weak to strong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// The user's settings file.
    User(PathBuf),
    /// This variable.
    Environment(&'static str),
    CommandLine,
    /// The organization, by this file or profile: nothing goes over it.
    Managed(String),
}

impl Source {
    /// Whether the organization decided.
    pub const fn is_managed(&self) -> bool {
        matches!(self, Self::Managed(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::User(path) => path.display().fmt(f),
            Self::Environment(variable) => f.write_str(variable),
            Self::CommandLine => f.write_str("command line"),
            Self::Managed(place) => write!(f, "managed by your organization in {place}"),
        }
    }
}

/// A value and who decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen<T> {
    pub value: T,
    pub source: Source,
}

impl Chosen<Option<Join>> {
    /// Who gave the join code.
    pub fn join_source(&self) -> JoinSource {
        if self.source.is_managed() { JoinSource::Managed } else { JoinSource::Person }
    }
}

impl<T: fmt::Debug> Chosen<T> {
    /// The flag's value where there is one and the setting isn't managed.
    pub fn under(self, flag: Option<T>) -> Self {
        match (flag, &self.source) {
            (None, _) => self,
            (Some(value), Source::Managed(_)) => {
                tracing::warn!("{value:?} is not used: {:?} is {}", self.value, self.source);
                self
            }
            (
                Some(value),
                Source::Default | Source::User(_) | Source::Environment(_) | Source::CommandLine,
            ) => Self { value, source: Source::CommandLine },
        }
    }
}

/// What counts on this machine. The settings that commands use have fields; every one is in
/// [`Settings::shown`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the coordinator is; none looks for it on the local network.
    pub coordinator_url: Chosen<Option<String>>,
    /// The pin of its key.
    pub coordinator_pin: Chosen<Option<Pin>>,
    /// What enrols this machine, where it is in no cluster yet.
    pub enrollment_code: Chosen<Option<Join>>,
    /// Gigabytes that a trainer takes; none is half of the machine's.
    pub maximum_memory_gb: Chosen<Option<f64>>,
    /// Gigabytes of blobs that a worker keeps.
    pub maximum_cache_gb: Chosen<f64>,
    /// Megabits a second; none is without limit.
    pub maximum_upload_mbps: Chosen<Option<f64>>,
    pub backend: Chosen<BackendChoice>,
    /// A filter such as `info` or `warn,worker=debug`.
    pub log_level: Chosen<String>,
    all: Layer,
}

/// Where settings are kept on a machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// The user's file; none without a home folder.
    pub user: Option<PathBuf>,
    pub managed: Managed,
}

impl Places {
    /// This machine's. No variable leads to other managed settings.
    pub fn of_system() -> Self {
        let names: Vec<&str> = Key::ALL.iter().map(|key| key.name()).collect();
        Self {
            user: platform::folders::settings().ok().map(|folder| folder.join("settings.toml")),
            managed: platform::managed::settings(&names),
        }
    }
}

impl Settings {
    /// Reads every source there is on this machine.
    ///
    /// # Errors
    /// Where a file or variable can't be read: the message names it and the value at fault.
    pub fn load() -> Result<Self, SettingsError> {
        let places = Places::of_system();
        if let Some(folder) = places.user.as_deref().and_then(Path::parent) {
            // A file that can't be read is refused below.
            drop(platform::private::tighten(folder));
        }
        Self::load_from(&places, |name| std::env::var(name).ok())
    }

    /// As [`Settings::load`], from elsewhere.
    ///
    /// # Errors
    /// As there.
    pub fn load_from(
        places: &Places,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let user = match &places.user {
            Some(path) => Layer::from_file(path, &Source::User(path.clone()), true)?,
            // Without a home there is no user's file; whoever needs a folder says so.
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
            maximum_cache_gb: all.or(Key::MaximumCacheGb, 10.0),
            maximum_upload_mbps: all.optional(Key::MaximumUploadMbps),
            backend: all.or(Key::Backend, BackendChoice::Auto),
            log_level: all.or(Key::LogLevel, Key::LogLevel.declaration().default.to_owned()),
            all,
        };
        tracing::debug!(?settings, "settings and their sources");
        settings
    }

    /// A setting as text, none where it isn't set, and who decided it.
    pub fn text(&self, key: Key) -> Chosen<Option<String>> {
        self.all.optional(key)
    }

    /// Whether a setting that is a flag is on.
    pub fn is_on(&self, key: Key) -> bool {
        self.all.or(key, false).value
    }

    /// Whether the organization decided anything here.
    pub fn is_managed(&self) -> bool {
        self.all.0.values().any(|chosen| chosen.source.is_managed())
    }

    /// Whether the organization decided which cluster this machine is in.
    pub fn is_cluster_managed(&self) -> bool {
        let keys = [Key::CoordinatorUrl, Key::CoordinatorPin, Key::EnrollmentCode];
        keys.into_iter().any(|key| self.text(key).source.is_managed())
    }

    /// What a worker keeps at most.
    pub fn maximum_cache_bytes(&self) -> u64 {
        bytes(self.maximum_cache_gb.value)
    }

    /// What a trainer takes at most, where somebody says so.
    pub fn maximum_memory_bytes(&self) -> Option<u64> {
        self.maximum_memory_gb.value.map(bytes)
    }

    /// What the coordinator hears while this machine may not train.
    pub fn presence(&self) -> PresenceDetail {
        match self.text(Key::PresenceDetail).value.as_deref() {
            Some("state") => PresenceDetail::State,
            Some(_) | None => PresenceDetail::Reasons,
        }
    }

    /// When this machine may train.
    pub fn policy(&self) -> IdlePolicy {
        let percent: u8 = self.all.or(Key::MinimumBattery, 50).value;
        IdlePolicy {
            idle: Duration::from_secs(self.all.or(Key::IdleSeconds, 300).value),
            schedule: self.all.or(Key::Schedule, Schedule::default()).value,
            allow_battery: self.is_on(Key::AllowBattery),
            minimum_battery: f32::from(percent) / 100.0,
            pause_during_calls: self.is_on(Key::PauseDuringCalls),
            pause_during_video: self.is_on(Key::PauseDuringVideo),
            pause_in_full_screen: self.is_on(Key::PauseInFullScreen),
            maximum_thermal: match self.text(Key::MaximumThermalState).value.as_deref() {
                Some("nominal") => Thermal::Nominal,
                Some("serious") => Thermal::Serious,
                Some("critical") => Thermal::Critical,
                Some(_) | None => Thermal::Fair,
            },
            ..IdlePolicy::default()
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "above 0, and saturates"
)]
fn bytes(gigabytes: f64) -> u64 {
    (gigabytes * 1e9) as u64
}

impl Layer {
    /// A value that was checked when it was taken, else the declared default.
    fn optional<T: FromStr>(&self, key: Key) -> Chosen<Option<T>> {
        if let Some(Chosen { value, source }) = self.0.get(&key) {
            return Chosen { value: value.0.parse().ok(), source: source.clone() };
        }
        let default = Some(key.declaration().default).filter(|default| !default.is_empty());
        let value = default.and_then(|default| default.parse().ok());
        Chosen { value, source: Source::Default }
    }

    fn or<T: FromStr>(&self, key: Key, default: T) -> Chosen<T> {
        let Chosen { value, source } = self.optional(key);
        Chosen { value: value.unwrap_or(default), source }
    }
}

/// `flag`, else a folder of this name in the standard place.
///
/// # Errors
/// Where neither is there.
pub fn data_dir(flag: Option<&Path>, name: &str) -> Result<PathBuf, platform::folders::NoHome> {
    match flag {
        Some(folder) => Ok(folder.to_owned()),
        None => Ok(platform::folders::data()?.join(name)),
    }
}
