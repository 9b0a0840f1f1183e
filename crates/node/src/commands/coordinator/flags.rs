//! Declarations of the coordinator's flags, in the form of settings, and the settings of a run.

use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::setting::{
    ChangedBy, Declaration, Key, Setting, SettingKind, SettingOrigin, TakesEffect, Unit,
};
use serde::Serialize;

use super::CoordinatorArguments;
use crate::settings::Settings;

pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:8000";
/// Time without a heartbeat after which a lease expires.
pub(crate) const LEASE_TIMEOUT: Duration = Duration::from_mins(1);
pub(super) const LEASE_SECONDS: RangeInclusive<u64> = 2..=86_400;
/// JavaScript has exact integers up to this one.
pub(super) const DISK_GIGABYTES: RangeInclusive<u64> = 1..=9_007_199_254_740_991;

const FLAG: Declaration = Declaration {
    changed_by: ChangedBy::CommandLine,
    takes_effect: TakesEffect::NextStart,
    ..Declaration::DEFAULTS
};
const LISTEN: Declaration = Declaration {
    name: "Listen",
    about: "Listen address of the coordinator.",
    title: "Listen address",
    kind: SettingKind::Text { default: Some(DEFAULT_LISTEN) },
    ..FLAG
};
const LEASE: Declaration = Declaration {
    name: "LeaseSeconds",
    about: "Seconds without a heartbeat after which a lease expires.",
    title: "Lease timeout",
    kind: SettingKind::Duration {
        minimum: *LEASE_SECONDS.start(),
        maximum: *LEASE_SECONDS.end(),
        default: LEASE_TIMEOUT.as_secs(),
    },
    ..FLAG
};
const DISK: Declaration = Declaration {
    name: "MaximumDiskGB",
    about: "Maximum disk usage in gigabytes.",
    title: "Disk usage",
    unset: "No limit",
    kind: SettingKind::Integer {
        unit: Unit::Gigabytes,
        minimum: *DISK_GIGABYTES.start(),
        maximum: *DISK_GIGABYTES.end(),
        default: None,
    },
    ..FLAG
};
const BACKUPS: Declaration = Declaration {
    name: "BackupFolder",
    about: "Folder of scheduled backups.",
    title: "Backup folder",
    unset: "No scheduled backups",
    ..FLAG
};
const DISCOVERY: Declaration = Declaration {
    name: "Discovery",
    about: "Announce the coordinator on the local network.",
    title: "Announce on the local network",
    kind: SettingKind::Bool { default: true },
    ..FLAG
};

/// Returns the setting; its origin is the default if it has the default's value.
fn flag(declaration: Declaration, value: impl Serialize) -> Setting {
    let value = serde_json::to_value(value).unwrap_or_default();
    let origin = if value == declaration.kind.default_value() {
        SettingOrigin::Default
    } else {
        SettingOrigin::User
    };
    declaration.setting(value, origin)
}

impl CoordinatorArguments {
    /// Effective settings of this run: the coordinator's flags, and the machine's settings.
    pub(super) fn shown(&self, settings: &Settings) -> Vec<Setting> {
        let backend = settings.backend.clone().under(self.backend);
        let name =
            Declaration { changed_by: ChangedBy::CommandLine, ..Key::ClusterName.declaration() };
        let mut shown = vec![
            flag(name, &self.name),
            flag(LISTEN, self.listen),
            flag(LEASE, self.lease_timeout),
            flag(DISK, self.maximum_disk_gb),
            flag(BACKUPS, &self.backup_dir),
            flag(DISCOVERY, !self.no_discovery),
        ];
        // The cluster's name is in the list already.
        let machine = Key::ALL.iter().filter(|key| **key != Key::ClusterName);
        shown.extend(machine.map(|key| {
            let mut setting = settings.one_shown(*key);
            if *key == Key::Backend {
                setting.value = backend.value.to_string().into();
                setting.origin = backend.source.origin();
            }
            setting
        }));
        shown
    }
}
