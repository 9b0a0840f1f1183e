//! Settings and where each comes from: defaults < the user's file < the environment < managed
//! (DESIGN §9). A command-line flag goes over everything but what is managed.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use protocol::Pin;
use protocol::join::Join;
use serde::{Deserialize, Serialize};

mod layer;
mod shown;

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
    /// The organization, by this file: nothing goes over it.
    Managed(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::User(path) => path.display().fmt(f),
            Self::Environment(variable) => f.write_str(variable),
            Self::CommandLine => f.write_str("command line"),
            Self::Managed(path) => write!(f, "managed by your organization in {}", path.display()),
        }
    }
}

/// A value and who decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen<T> {
    pub value: T,
    pub source: Source,
}

impl<T: fmt::Debug> Chosen<T> {
    fn or_default(layers: Option<Self>, default: T) -> Self {
        layers.unwrap_or(Self { value: default, source: Source::Default })
    }

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

/// The settings that there are so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the coordinator is; none looks for it on the local network.
    pub coordinator_url: Chosen<Option<String>>,
    /// The pin of its key.
    pub coordinator_pin: Chosen<Option<Pin>>,
    /// What enrols this machine, where it is in no cluster yet.
    pub enrollment_code: Chosen<Option<Join>>,
    /// Seconds without input after which a Mac may train.
    pub idle_seconds: Chosen<u32>,
    /// Gigabytes of blobs that a worker keeps.
    pub maximum_cache_gb: Chosen<f64>,
    /// Megabits a second; none is without limit.
    pub maximum_upload_mbps: Chosen<Option<f64>>,
    pub backend: Chosen<BackendChoice>,
    /// A filter such as `info` or `warn,worker=debug`.
    pub log_level: Chosen<String>,
}

impl Settings {
    /// Reads every source there is on this machine.
    ///
    /// # Errors
    /// Where a file or variable can't be read: the message names it and the value at fault.
    pub fn load() -> Result<Self, SettingsError> {
        let user = match platform::folders::settings() {
            Ok(folder) => Layer::from_file(&folder.join("settings.toml"), Source::User, true)?,
            // Without a home there is no user's file; whoever needs a folder says so.
            Err(platform::folders::NoHome) => Layer::default(),
        };
        let environment = Layer::from_environment(|name| std::env::var(name).ok())?;
        let managed = match platform::folders::managed_settings() {
            Some(path) => Layer::from_file(&path, Source::Managed, false)?,
            None => Layer::default(),
        };
        Ok(Self::resolve(managed.over(environment).over(user)))
    }

    fn resolve(layers: Layer) -> Self {
        let settings = Self {
            coordinator_url: optional(layers.coordinator_url),
            coordinator_pin: optional(layers.coordinator_pin),
            enrollment_code: optional(layers.enrollment_code),
            idle_seconds: Chosen::or_default(layers.idle_seconds, 300),
            maximum_cache_gb: Chosen::or_default(layers.maximum_cache_gb, 10.0),
            maximum_upload_mbps: optional(layers.maximum_upload_mbps),
            backend: Chosen::or_default(layers.backend, BackendChoice::Auto),
            log_level: Chosen::or_default(layers.log_level, DEFAULT_LOG.to_owned()),
        };
        tracing::debug!(?settings, "settings and their sources");
        settings
    }
}

/// Our own words, and of others what is worth a look.
const DEFAULT_LOG: &str = "warn,node=info,coordinator=info,worker=info,trainer=info";

fn optional<T>(layers: Option<Chosen<T>>) -> Chosen<Option<T>> {
    match layers {
        Some(Chosen { value, source }) => Chosen { value: Some(value), source },
        None => Chosen { value: None, source: Source::Default },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_source_wins_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (user, managed) = (folder.path().join("user"), folder.path().join("managed"));
        std::fs::write(&user, "IdleSeconds = 1\nBackend = \"cpu\"\nMaximumCacheGB = 2").unwrap();
        std::fs::write(&managed, "IdleSeconds = 9\nSomethingNewer = true").unwrap();
        let environment = Layer::from_environment(|name| {
            [("CONSTELLATION_IDLE_SECONDS", "5"), ("CONSTELLATION_BACKEND", "wgpu")]
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        });
        let settings = Settings::resolve(
            Layer::from_file(&managed, Source::Managed, false)
                .unwrap()
                .over(environment.unwrap())
                .over(Layer::from_file(&user, Source::User, true).unwrap()),
        );
        assert_eq!(settings.idle_seconds.value, 9);
        assert_eq!(settings.idle_seconds.under(Some(7)).value, 9);
        assert_eq!(settings.backend.source, Source::Environment("CONSTELLATION_BACKEND"));
        assert_eq!(settings.backend.under(Some(BackendChoice::Cpu)).source, Source::CommandLine);
        assert_eq!(settings.maximum_cache_gb.source, Source::User(user));
        assert_eq!(settings.coordinator_url.source, Source::Default);
    }
}
