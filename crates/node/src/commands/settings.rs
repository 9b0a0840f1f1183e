//! `constellation settings …`.

use clap::{Args, Subcommand};
use protocol::setting::Setting;

use crate::output;
use crate::settings::{Key, Settings, SettingsError};

#[derive(Debug, Args)]
pub struct SettingsArguments {
    #[command(subcommand)]
    command: SettingsCommand,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// List every setting and who decided it
    List,
    /// Print one setting
    Get { key: String },
    /// Set one for this user
    Set {
        key: String,
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Go back to what counts without this user's own
    Unset { key: String },
}

pub(super) fn run(arguments: &SettingsArguments, settings: &Settings) -> anyhow::Result<()> {
    match &arguments.command {
        SettingsCommand::List if arguments.json => output::json(&settings.shown())?,
        SettingsCommand::List => {
            let rows: Vec<[String; 3]> = Key::ALL
                .iter()
                .map(|key| {
                    let setting = settings.one_shown(*key);
                    [setting.key.clone(), words(&setting), settings.text(*key).source.to_string()]
                })
                .collect();
            output::table(["SETTING", "VALUE", "FROM"], &rows)?;
        }
        SettingsCommand::Get { key } => tell(arguments.json, &settings.one_shown(named(key)?))?,
        SettingsCommand::Set { key, value } => {
            Settings::set_user(key, value)?;
            tell(arguments.json, &Settings::load()?.one_shown(named(key)?))?;
        }
        SettingsCommand::Unset { key } => {
            Settings::unset_user(key)?;
            tell(arguments.json, &Settings::load()?.one_shown(named(key)?))?;
        }
    }
    Ok(())
}

fn named(name: &str) -> Result<Key, SettingsError> {
    Key::named(name).ok_or_else(|| SettingsError::Unknown {
        place: "settings".into(),
        key: name.to_owned(),
        nearest: Key::nearest(name),
    })
}

fn tell(json: bool, setting: &Setting) -> std::io::Result<()> {
    if json { output::json(setting) } else { output::line(words(setting)) }
}

/// Empty where it isn't set.
fn words(setting: &Setting) -> String {
    match &setting.value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other @ (serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_)) => other.to_string(),
    }
}
