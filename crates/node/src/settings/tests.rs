//! Tests of every setting with every source.

use std::path::Path;

use protocol::setting::{ChangedBy, Declaration, SettingKind, SettingOrigin};
use serde_json::json;

use super::check::wrong;
use super::*;

/// Returns three valid, different values of a setting.
pub(crate) fn values(key: Key) -> [String; 3] {
    let pin = |byte| Pin::from_bytes([byte; 32]).to_string();
    match key.declaration().kind {
        SettingKind::Text { .. } | SettingKind::Url => ["one", "two", "three"].map(Into::into),
        SettingKind::Pin => [1, 2, 3].map(pin),
        SettingKind::JoinCode => {
            ["0123-4567-89ab-cdef", "1123-4567-89ab-cdef", "2123-4567-89ab-cdef"].map(Into::into)
        }
        SettingKind::Choice { choices, .. } => {
            [0, 1, 2].map(|at| choices[at % choices.len()].value.to_owned())
        }
        SettingKind::Bool { .. } => ["true", "false", "true"].map(Into::into),
        SettingKind::Integer { .. } | SettingKind::Duration { .. } => {
            ["11", "12", "13"].map(Into::into)
        }
        SettingKind::Number { .. } => ["1.5", "2.5", "3.5"].map(Into::into),
        SettingKind::Schedule => {
            ["Mon 01:00-02:00", "Tue 01:00-02:00", "Wed 01:00-02:00"].map(Into::into)
        }
        SettingKind::LogFilter { .. } => ["info", "warn", "debug"].map(Into::into),
    }
}

fn places(folder: &Path) -> Places {
    Places {
        user: Some(folder.join("user/settings.toml")),
        managed: Managed::File(folder.join("managed.toml")),
    }
}

#[test]
fn every_setting_works_with_every_source() {
    for key in Key::ALL.iter().copied() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let declaration = key.declaration();
        let [user, environment, managed] = values(key);
        let none = |_: &str| None;
        let read = |variable: &dyn Fn(&str) -> Option<String>| {
            let settings = Settings::load_from(&places, variable).unwrap();
            (settings.text(key).value, settings.one_shown(key))
        };

        let (text, setting) = read(&none);
        assert_eq!(text, declaration.kind.default_text(), "{key}");
        assert_eq!(setting.value, setting.default, "{key}");
        assert_eq!(setting.origin, SettingOrigin::Default, "{key}");

        if declaration.changed_by == ChangedBy::User {
            places.set_user(key.name(), &user).unwrap();
            let (text, setting) = read(&none);
            assert_eq!((text, setting.origin), (Some(user.clone()), SettingOrigin::User), "{key}");
        } else {
            let refused = places.set_user(key.name(), &user);
            assert!(matches!(refused, Err(SettingsError::NotForUsers(_))), "{key}");
        }

        let variable = |name: &str| (name == declaration.variable).then(|| environment.clone());
        let (text, setting) = read(&variable);
        let expected = (Some(environment.clone()), SettingOrigin::Environment);
        assert_eq!((text, setting.origin), expected, "{key}");

        let file = format!("{key} = {}\nSomethingNewer = true", toml::Value::from(managed.clone()));
        std::fs::write(folder.path().join("managed.toml"), file).unwrap();
        let (text, setting) = read(&variable);
        let expected = (Some(managed.clone()), SettingOrigin::Managed);
        assert_eq!((text, setting.origin), expected, "{key}");
        for refused in [places.set_user(key.name(), &user), places.unset_user(key.name())] {
            let error = refused.unwrap_err().to_string();
            assert_eq!(error, format!("{key}: Managed by your organization"));
        }
        // The same value from a configuration profile.
        let forced = Managed::Forced(vec![(key.name().to_owned(), managed.clone())]);
        let settings =
            Settings::load_from(&Places { managed: forced, ..places.clone() }, none).unwrap();
        assert_eq!(settings.one_shown(key).origin, SettingOrigin::Managed, "{key}");
    }
}

#[test]
fn names_and_variables_are_unique() {
    let mut names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
    names.extend(Key::ALL.iter().map(|key| key.declaration().variable));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (2 * Key::ALL.len(), 2 * Key::ALL.len()));
}

#[test]
fn defaults_are_valid_and_match_the_policy() {
    let settings = Settings::resolve(Layer::default());
    assert_eq!(settings.policy(), IdlePolicy::default());
    assert_eq!(settings.presence(), PresenceDetail::default());
    assert_eq!(settings.backend.value, BackendSetting::default());
    let cache = bytes_of(Key::MaximumCacheGb.default_number());
    assert_eq!((settings.maximum_cache_bytes(), cache), (10_000_000_000, 10_000_000_000));
    for key in Key::ALL {
        let default = key.declaration().kind.default_text();
        assert!(default.is_none_or(|default| wrong(*key, &default).is_none()), "{key}");
    }
}

/// A choice that the table allows and the program does not know would silently have the default's effect.
#[test]
fn the_program_knows_every_choice() {
    type Knows<'a> = &'a dyn Fn(&str) -> bool;
    let backend =
        |text: &str| BackendSetting::named(text).is_some_and(|one| one.to_string() == text);
    let types: [(Key, Knows<'_>); 4] = [
        (Key::Mode, &|text| matches!(text, "worker" | "coordinator" | "both")),
        (Key::MaximumThermalState, &|text| Thermal::named(text).is_some()),
        (Key::PresenceDetail, &|text| PresenceDetail::named(text).is_some()),
        (Key::Backend, &backend),
    ];
    for key in Key::ALL {
        let SettingKind::Choice { choices, .. } = key.declaration().kind else { continue };
        let known = types.iter().find(|(one, _)| one == key);
        let (_, known) = known.unwrap_or_else(|| panic!("{key}: add its type to this test"));
        assert!(choices.iter().all(|choice| known(choice.value)), "{key}");
    }
}

#[test]
fn an_error_names_the_setting_once_and_says_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    for key in Key::ALL.iter().copied() {
        let Declaration { kind, changed_by, variable, .. } = key.declaration();
        let bad = "\u{200b}!";
        let error = match changed_by {
            ChangedBy::User => places.set_user(key.name(), bad).unwrap_err(),
            ChangedBy::Organization | ChangedBy::CommandLine => {
                let value = |name: &str| (name == variable).then(|| bad.to_owned());
                Layer::from_environment(value).unwrap_err()
            }
        };
        let error = error.to_string();
        let name = if changed_by == ChangedBy::User { key.name() } else { variable };
        assert_eq!(error.matches(name).count(), 1, "{error}");
        let allowed = match kind {
            SettingKind::Text { .. } | SettingKind::Url => {
                "text without invisible characters".into()
            }
            SettingKind::JoinCode => "a join code".into(),
            SettingKind::Bool { .. }
            | SettingKind::Integer { .. }
            | SettingKind::Duration { .. }
            | SettingKind::Number { .. }
            | SettingKind::Choice { .. }
            | SettingKind::Pin
            | SettingKind::Schedule
            | SettingKind::LogFilter { .. } => kind.allowed(),
        };
        assert!(error.contains(&allowed), "{error}");
    }
}

#[test]
fn a_flag_overrides_every_source_except_managed_settings() {
    let chosen = |source| Chosen { value: 1, source };
    assert_eq!(chosen(Source::Environment("X")).under(Some(2)).source, Source::CommandLine);
    assert_eq!(chosen(Source::Managed("x".into())).under(Some(2)).value, 1);
}

#[test]
fn a_change_is_validated_and_keeps_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    places.set_user("IdleSeconds", "60").unwrap();
    places.set_user("Schedule", "Sat-Sun 00:00-24:00").unwrap();
    places.set_user("AllowBattery", "true").unwrap();
    places.unset_user("Schedule").unwrap();
    places.unset_user("Schedule").unwrap();
    let text = std::fs::read_to_string(folder.path().join("user/settings.toml")).unwrap();
    assert_eq!(text, "IdleSeconds = 60\nAllowBattery = true\n");
    let policy = Settings::load_from(&places, |_| None).unwrap().policy();
    assert!(policy.allow_battery && policy.idle == Duration::from_mins(1));
    for (key, value, expected) in [
        (
            "IdleSeconds",
            "-1",
            "IdleSeconds: '-1' is not a whole number from 0 to 31536000 (seconds)",
        ),
        ("Backend", "gpu", "Backend: 'gpu' is not auto, cpu or wgpu"),
        ("MaximumCacheGB", "0", "MaximumCacheGB: '0' is not a number above 0 (gigabytes)"),
        ("AllowBatery", "true", "did you mean 'AllowBattery'?"),
        ("Schedule", "nights", "is not days and hours such as Mon-Fri 19:00-07:00"),
    ] {
        let error = places.set_user(key, value).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn comments_and_order_in_the_settings_file_survive_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let file = folder.path().join("user/settings.toml");
    std::fs::create_dir_all(folder.path().join("user")).unwrap();
    let text = "# My settings.\n\n# After lunch.\nIdleSeconds = 60 # a minute\n\n# Plugged in only.\n\
                AllowBattery = false\n# The end.\n";
    std::fs::write(&file, text).unwrap();
    let read = || std::fs::read_to_string(&file).unwrap();
    places.set_user("IdleSeconds", "90").unwrap();
    assert_eq!(read(), text.replace("= 60", "= 90"));
    places.set_user("Schedule", "Sat-Sun 00:00-24:00").unwrap();
    let added = read();
    assert!(added.contains("# After lunch.\nIdleSeconds = 90 # a minute\n"), "{added}");
    assert!(added.contains("\nSchedule = \"Sat-Sun 00:00-24:00\"\n"), "{added}");
    for name in ["Schedule", "IdleSeconds", "AllowBattery"] {
        places.unset_user(name).unwrap();
    }
    let left = read();
    for comment in ["# My settings.", "# After lunch.", "# Plugged in only.", "# The end."] {
        assert!(left.contains(comment), "{comment}: {left}");
    }
    assert!(left.lines().all(|line| line.is_empty() || line.starts_with('#')), "{left}");
}

#[test]
fn secrets_are_not_shown() {
    let variable =
        |name: &str| (name == "CONSTELLATION_JOIN").then(|| "0123-4567-89ab-cdef".to_owned());
    let layer = Layer::from_environment(variable).unwrap();
    let settings = Settings::resolve(layer);
    assert_eq!(settings.one_shown(Key::EnrollmentCode).value, json!("set"));
    assert!(!serde_json::to_string(&settings.shown()).unwrap().contains("cdef"));
    assert!(settings.enrollment_code.value.is_some());
}
