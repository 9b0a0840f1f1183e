//! One source of settings: a file, or the environment.

use std::io;
use std::path::{Path, PathBuf};

use protocol::Pin;
use protocol::join::{InvalidJoin, Join};

use super::{BackendChoice, Chosen, Source};

/// A source that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{}: unknown setting '{key}'{}", path.display(), suggest(nearest.as_deref()))]
    Unknown { path: PathBuf, key: String, nearest: Option<String> },
    #[error("{place}: '{value}' is not {expected}")]
    Value { place: String, value: String, expected: &'static str },
    /// What stands there is secret, so it isn't said.
    #[error("{place}: {source}")]
    JoinCode { place: String, source: InvalidJoin },
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean '{name}'?"))
}

/// What one source says; none where it says nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) coordinator_url: Option<Chosen<String>>,
    pub(super) coordinator_pin: Option<Chosen<Pin>>,
    pub(super) enrollment_code: Option<Chosen<Join>>,
    pub(super) idle_seconds: Option<Chosen<u32>>,
    pub(super) maximum_cache_gb: Option<Chosen<f64>>,
    pub(super) maximum_upload_mbps: Option<Chosen<f64>>,
    pub(super) backend: Option<Chosen<BackendChoice>>,
    pub(super) log_level: Option<Chosen<String>>,
}

/// Each setting's name in files and in the environment.
const NAMES: [(&str, &str); 8] = [
    ("CoordinatorURL", "CONSTELLATION_COORDINATOR"),
    ("CoordinatorPin", "CONSTELLATION_PIN"),
    ("EnrollmentCode", "CONSTELLATION_JOIN"),
    ("IdleSeconds", "CONSTELLATION_IDLE_SECONDS"),
    ("MaximumCacheGB", "CONSTELLATION_MAXIMUM_CACHE_GB"),
    ("MaximumUploadMbps", "CONSTELLATION_MAXIMUM_UPLOAD_MBPS"),
    ("Backend", "CONSTELLATION_BACKEND"),
    ("LogLevel", "CONSTELLATION_LOG"),
];

impl Layer {
    /// The settings in a TOML file; none in a file that isn't there. Unknown names are refused
    /// where `strict`: a person mistyped them, while an organization may serve newer versions.
    pub(super) fn from_file(
        path: &Path,
        source: impl Fn(PathBuf) -> Source,
        strict: bool,
    ) -> Result<Self, SettingsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsError::Read { path: path.to_owned(), source }),
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            SettingsError::Syntax { path: path.to_owned(), message: error.message().to_owned() }
        })?;
        let mut layer = Self::default();
        for (key, value) in &table {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let place = format!("{}: {key}", path.display());
            let known = layer.set(key, &text, &place, &|| source(path.to_owned()))?;
            if !known && strict {
                let path = path.to_owned();
                return Err(SettingsError::Unknown {
                    path,
                    key: key.clone(),
                    nearest: nearest(key),
                });
            }
        }
        Ok(layer)
    }

    /// The settings that `variable` knows.
    pub(super) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let mut layer = Self::default();
        for (key, name) in NAMES {
            // An empty variable is how a shell says "not set" for one command.
            if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
                layer.set(key, &text, name, &|| Source::Environment(name))?;
            }
        }
        Ok(layer)
    }

    /// This layer, with what it doesn't say taken from `weaker`.
    pub(super) fn over(self, weaker: Self) -> Self {
        Self {
            coordinator_url: self.coordinator_url.or(weaker.coordinator_url),
            coordinator_pin: self.coordinator_pin.or(weaker.coordinator_pin),
            enrollment_code: self.enrollment_code.or(weaker.enrollment_code),
            idle_seconds: self.idle_seconds.or(weaker.idle_seconds),
            maximum_cache_gb: self.maximum_cache_gb.or(weaker.maximum_cache_gb),
            maximum_upload_mbps: self.maximum_upload_mbps.or(weaker.maximum_upload_mbps),
            backend: self.backend.or(weaker.backend),
            log_level: self.log_level.or(weaker.log_level),
        }
    }

    /// Whether the key is one of ours; then its value is taken.
    fn set(
        &mut self,
        key: &str,
        text: &str,
        place: &str,
        source: &dyn Fn() -> Source,
    ) -> Result<bool, SettingsError> {
        let wrong = |expected| SettingsError::Value {
            place: place.to_owned(),
            value: text.to_owned(),
            expected,
        };
        match key {
            "CoordinatorURL" => self.coordinator_url = chosen(text.to_owned(), source),
            "CoordinatorPin" => {
                let pin = text.parse().map_err(|_| wrong("a pin of 43 characters"))?;
                self.coordinator_pin = chosen(pin, source);
            }
            "EnrollmentCode" => {
                let code = text.parse().map_err(|source| SettingsError::JoinCode {
                    place: place.to_owned(),
                    source,
                })?;
                self.enrollment_code = chosen(code, source);
            }
            "IdleSeconds" => {
                let seconds = text.parse().map_err(|_| wrong("a whole number of seconds"))?;
                self.idle_seconds = chosen(seconds, source);
            }
            "MaximumCacheGB" => {
                let size = positive(text).ok_or_else(|| wrong("a number of gigabytes above 0"))?;
                self.maximum_cache_gb = chosen(size, source);
            }
            "MaximumUploadMbps" => {
                let rate =
                    positive(text).ok_or_else(|| wrong("a number of megabits a second above 0"))?;
                self.maximum_upload_mbps = chosen(rate, source);
            }
            "Backend" => {
                let backend = clap::ValueEnum::from_str(text, false)
                    .map_err(|_| wrong("auto, cpu or wgpu"))?;
                self.backend = chosen(backend, source);
            }
            "LogLevel" => self.log_level = chosen(text.to_owned(), source),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every field of a layer is optional")]
fn chosen<T>(value: T, source: &dyn Fn() -> Source) -> Option<Chosen<T>> {
    Some(Chosen { value, source: source() })
}

fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

fn nearest(key: &str) -> Option<String> {
    NAMES
        .iter()
        .map(|(name, _)| (strsim::jaro_winkler(name, key), *name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, "IdleSecond = 3").unwrap();
        let error = Layer::from_file(&path, Source::User, true).unwrap_err().to_string();
        assert!(error.ends_with("unknown setting 'IdleSecond'; did you mean 'IdleSeconds'?"));
        std::fs::write(&path, "IdleSeconds = \"soon\"").unwrap();
        let error = Layer::from_file(&path, Source::User, true).unwrap_err().to_string();
        assert!(error.ends_with("IdleSeconds: 'soon' is not a whole number of seconds"), "{error}");
    }

    #[test]
    fn a_join_code_is_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("managed.toml");
        std::fs::write(&path, "EnrollmentCode = \"0123-4567-89AB-CDEF\"").unwrap();
        let layer = Layer::from_file(&path, Source::Managed, false).unwrap();
        assert!(!format!("{layer:?}").contains("CDEF"), "{layer:?}");
        let code = layer.enrollment_code.unwrap();
        assert_eq!(code.value, "0123456789abcdef".parse().unwrap());
        assert_eq!(code.source, Source::Managed(path.clone()));
        std::fs::write(&path, "EnrollmentCode = \"0123-4567-89AB-CDE\"").unwrap();
        let error = Layer::from_file(&path, Source::Managed, false).unwrap_err().to_string();
        assert!(
            error.ends_with("EnrollmentCode: a join code has 16 letters and digits, this has 15")
        );
        let pin = protocol::Pin::from_bytes([5; 32]);
        let environment = |name: &str| match name {
            "CONSTELLATION_JOIN" => Some("fedc-ba98-7654-3210".to_owned()),
            "CONSTELLATION_PIN" => Some(pin.to_string()),
            _ => None,
        };
        let layer = Layer::from_environment(environment).unwrap();
        assert_eq!(layer.coordinator_pin.unwrap().value, pin);
        let code = layer.enrollment_code.unwrap();
        assert_eq!(code.source, Source::Environment("CONSTELLATION_JOIN"));
    }

    #[test]
    fn a_file_that_is_not_there_says_nothing() {
        let layer = Layer::from_file(Path::new("/nowhere/at.all"), Source::User, true).unwrap();
        assert!(layer.idle_seconds.is_none());
    }
}
