//! Settings as the dashboard shows them: with who decided each, and without secrets.

use protocol::setting::{Setting, SettingOrigin};
use serde::Serialize;

use super::{Chosen, Settings, Source};

impl Source {
    /// As the API has it.
    pub const fn origin(&self) -> SettingOrigin {
        match self {
            Self::Default => SettingOrigin::Default,
            Self::User(_) | Self::CommandLine => SettingOrigin::User,
            Self::Environment(_) => SettingOrigin::Environment,
            Self::Managed(_) => SettingOrigin::Managed,
        }
    }
}

/// A setting of which people see the value.
pub fn shown(key: &str, value: impl Serialize, origin: SettingOrigin, about: &str) -> Setting {
    let value = serde_json::to_value(value).unwrap_or_default();
    Setting { key: key.to_owned(), value, origin, about: about.to_owned() }
}

impl Settings {
    /// Every setting, in the order of the documentation.
    pub fn shown(&self) -> Vec<Setting> {
        let code = &self.enrollment_code;
        vec![
            of("CoordinatorURL", &self.coordinator_url, "Where workers look for the coordinator."),
            of("CoordinatorPin", &self.coordinator_pin, "The pin of its key."),
            shown(
                "EnrollmentCode",
                // It is a secret.
                code.value.as_ref().map(|_| "set"),
                code.source.origin(),
                "The join code that enrols this machine.",
            ),
            of("IdleSeconds", &self.idle_seconds, "Seconds without input before a Mac may train."),
            of("MaximumCacheGB", &self.maximum_cache_gb, "Gigabytes that a worker keeps at most."),
            of("MaximumUploadMbps", &self.maximum_upload_mbps, "Megabits a second for uploads."),
            of("Backend", &self.backend, "Where trainers compute: auto, cpu or wgpu."),
            of("LogLevel", &self.log_level, "What is written to the log."),
        ]
    }
}

fn of<T: Serialize>(key: &str, chosen: &Chosen<T>, about: &str) -> Setting {
    shown(key, &chosen.value, chosen.source.origin(), about)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Layer;
    use super::*;

    #[test]
    fn each_setting_says_who_decided_it_and_a_secret_stays_one() {
        let layer = Layer::from_environment(|name| {
            let known = [
                ("CONSTELLATION_IDLE_SECONDS", "5"),
                ("CONSTELLATION_JOIN", "0123-4567-89ab-cdef"),
            ];
            known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        let shown = Settings::resolve(layer.unwrap()).shown();
        let find = |key: &str| shown.iter().find(|setting| setting.key == key).unwrap();
        let idle = find("IdleSeconds");
        assert_eq!((&idle.value, idle.origin), (&json!(5), SettingOrigin::Environment));
        assert_eq!(find("EnrollmentCode").value, json!("set"));
        let backend = find("Backend");
        assert_eq!((&backend.value, backend.origin), (&json!("auto"), SettingOrigin::Default));
        assert_eq!(find("CoordinatorURL").value, json!(null));
        assert_eq!(Source::Managed("x".into()).origin(), SettingOrigin::Managed);
        assert!(!serde_json::to_string(&shown).unwrap().contains("cdef"));
    }
}
