//! Value of a setting and its source.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use protocol::join::Join;
use protocol::setting::Key;
use serde::{Deserialize, Serialize};
use worker::JoinSource;

/// Compute backend for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum BackendSetting {
    /// A GPU that passes its self-test, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU.
    Wgpu,
}

impl BackendSetting {
    pub(super) const fn named(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"auto" => Some(Self::Auto),
            b"cpu" => Some(Self::Cpu),
            b"wgpu" => Some(Self::Wgpu),
            _ => None,
        }
    }
}

impl Default for BackendSetting {
    /// Returns the default of the setting.
    fn default() -> Self {
        const {
            match Self::named(Key::Backend.default_str()) {
                Some(backend) => backend,
                None => panic!("the default is not a backend"),
            }
        }
    }
}

impl FromStr for BackendSetting {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::named(text).ok_or(())
    }
}

impl fmt::Display for BackendSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
        })
    }
}

/// Source of a setting, from weak to strong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    /// The user's settings file.
    User(PathBuf),
    /// This environment variable.
    Environment(&'static str),
    CommandLine,
    /// The organization, through this file or profile. Nothing overrides it.
    Managed(String),
}

impl Source {
    /// Returns whether the organization manages the setting.
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

/// Value and its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen<T> {
    pub value: T,
    pub source: Source,
}

impl Chosen<Option<Join>> {
    /// Returns the source of the join code.
    pub fn join_source(&self) -> JoinSource {
        if self.source.is_managed() { JoinSource::Managed } else { JoinSource::Person }
    }
}

impl<T: fmt::Debug> Chosen<T> {
    /// Returns the flag's value if it is given and the setting isn't managed.
    pub fn under(self, flag: Option<T>) -> Self {
        match (flag, &self.source) {
            (None, _) => self,
            (Some(value), Source::Managed(_)) => {
                tracing::warn!("{value:?} is ignored: {:?} is {}", self.value, self.source);
                self
            }
            (
                Some(value),
                Source::Default | Source::User(_) | Source::Environment(_) | Source::CommandLine,
            ) => Self { value, source: Source::CommandLine },
        }
    }
}
