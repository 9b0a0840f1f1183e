//! `constellation settings …`.

use clap::{Args, Subcommand};
use protocol::setting::Setting;

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
    /// Print one setting
    Get {
        /// Name of the setting, such as `IdleSeconds`
        key: String,
    },
    /// Set a setting for this user
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
                        setting.key.clone(),
                        value_text(&setting),
                        settings.text(*key).source.to_string(),
                    ]
                })
                .collect();
            output::table(["SETTING", "VALUE", "FROM"], &rows)?;
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

/// The value as text; empty if it is not set.
fn value_text(setting: &Setting) -> String {
    match &setting.value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other @ (serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_)) => other.to_string(),
    }
}
