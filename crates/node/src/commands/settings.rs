//! `constellation settings …`.

use std::fmt::Write;

use clap::{Args, Subcommand};
use protocol::setting::{ChangedBy, Setting, TakesEffect};
use serde_json::Value;

use crate::output;
use crate::settings::{Key, Settings, SettingsError};

#[derive(Debug, Args)]
pub struct SettingsArguments {
    #[command(subcommand)]
    command: SettingsCommand,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// List all settings with their values and sources
    List,
    /// Show one setting: value, source, default, allowed values and effect
    #[command(after_long_help = reference())]
    Show {
        /// Name of the setting, such as `IdleSeconds`
        key: String,
    },
    /// Print one setting
    Get {
        /// Name of the setting, such as `IdleSeconds`
        key: String,
    },
    /// Set a setting for this user
    #[command(after_long_help = reference())]
    Set {
        /// Name of the setting, such as `IdleSeconds`
        key: String,
        /// New value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Remove a setting from this user's settings file
    Unset {
        /// Name of the setting, such as `IdleSeconds`
        key: String,
    },
}

pub(super) fn run(arguments: &SettingsArguments, settings: &Settings) -> anyhow::Result<()> {
    match &arguments.command {
        SettingsCommand::List if arguments.json => output::json(&settings.shown())?,
        SettingsCommand::List => {
            let rows: Vec<[String; 3]> = Key::ALL
                .iter()
                .map(|key| {
                    let setting = settings.one_shown(*key);
                    [
                        setting.key.to_owned(),
                        value_text(&setting),
                        settings.text(*key).source.to_string(),
                    ]
                })
                .collect();
            output::table(["SETTING", "VALUE", "FROM"], &rows)?;
        }
        SettingsCommand::Show { key } if arguments.json => {
            output::json(&settings.one_shown(find(key)?))?;
        }
        SettingsCommand::Show { key } => {
            let key = find(key)?;
            let source = settings.text(key).source.to_string();
            output::lines(&details(&settings.one_shown(key), &source))?;
        }
        SettingsCommand::Get { key } => print(arguments.json, &settings.one_shown(find(key)?))?,
        SettingsCommand::Set { key, value } => {
            Settings::set_user(key, value)?;
            print(arguments.json, &Settings::load()?.one_shown(find(key)?))?;
        }
        SettingsCommand::Unset { key } => {
            Settings::unset_user(key)?;
            print(arguments.json, &Settings::load()?.one_shown(find(key)?))?;
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<Key, SettingsError> {
    Key::named(name).ok_or_else(|| SettingsError::Unknown {
        place: "settings".into(),
        key: name.to_owned(),
        nearest: Key::nearest(name),
    })
}

fn print(json: bool, setting: &Setting) -> std::io::Result<()> {
    if json { output::json(setting) } else { output::line(value_text(setting)) }
}

/// Describes a setting, one fact on each line.
fn details(setting: &Setting, source: &str) -> String {
    let or_unset = |value: &Value| match text(value) {
        empty if empty.is_empty() => setting.unset.to_owned(),
        text => text,
    };
    let changed_by = match setting.changed_by {
        ChangedBy::User => "the user, unless your organization manages it",
        ChangedBy::Organization => "your organization only",
        ChangedBy::CommandLine => "the command line",
    };
    let takes_effect = match setting.takes_effect {
        TakesEffect::AtOnce => "at once",
        TakesEffect::WorkerRestart => "at once in the app, which restarts its worker",
        TakesEffect::NextStart => "at the next start",
    };
    [
        ("setting", setting.key.to_owned()),
        ("about", setting.about.to_owned()),
        ("value", or_unset(&setting.value)),
        ("from", source.to_owned()),
        ("default", or_unset(&setting.default)),
        ("allowed", setting.allowed.clone()),
        ("changed by", changed_by.to_owned()),
        ("takes effect", takes_effect.to_owned()),
        ("variable", setting.variable.to_owned()),
    ]
    .iter()
    .map(|(name, fact)| format!("{name:<14}{fact}"))
    .collect::<Vec<_>>()
    .join("\n")
}

/// Lists every setting with its allowed values, for the help.
fn reference() -> String {
    let mut text = "Settings:".to_owned();
    for key in Key::ALL {
        let declaration = key.declaration();
        let allowed = declaration.kind.allowed();
        let written = write!(text, "\n  {key:<21}{} [{allowed}]", declaration.about);
        debug_assert!(written.is_ok(), "writing to a String never fails");
    }
    text
}

/// The value as text; empty if it is not set.
fn value_text(setting: &Setting) -> String {
    text(&setting.value)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::setting::SettingOrigin;

    use super::*;

    #[test]
    fn a_setting_is_shown_with_everything_that_the_table_says() {
        let setting = Key::IdleSeconds.declaration().setting(60.into(), SettingOrigin::User);
        insta::assert_snapshot!(details(&setting, "settings.toml"), @r"
        setting       IdleSeconds
        about         Seconds without keyboard or mouse input before training starts.
        value         60
        from          settings.toml
        default       300
        allowed       a whole number from 0 to 31536000 (seconds)
        changed by    the user, unless your organization manages it
        takes effect  at once
        variable      CONSTELLATION_IDLE_SECONDS
        ");
        let setting = Key::Schedule.declaration().setting(Value::Null, SettingOrigin::Default);
        let details = details(&setting, "default");
        assert!(details.contains("\nvalue         At any time\n"), "{details}");
    }

    #[test]
    fn the_help_lists_every_setting_and_what_it_may_be() {
        let text = reference();
        for key in Key::ALL {
            assert!(text.contains(&format!("\n  {key} ")), "{key}");
            assert!(text.contains(&key.declaration().kind.allowed()), "{key}");
        }
    }
}
