//! Generates the table of `docs/settings.md`, and the settings with which the app's pages are tested.
//!
//! Tests compare the files with the generated text, and write them on request, like the manifests.

use std::path::{Path, PathBuf};

use protocol::setting::{ChangedBy, TakesEffect};

use super::layer::Layer;
use super::{Key, Settings};

const HEAD: &str = "| setting | variable | allowed | default | who | takes effect | what it does |\n\
                    |---|---|---|---|---|---|---|\n";

fn table() -> String {
    let rows = Key::ALL.iter().map(|key| {
        let declaration = key.declaration();
        let default = match declaration.kind.default_text() {
            Some(default) => format!("`{default}`"),
            None => "not set".to_owned(),
        };
        let who = match declaration.changed_by {
            ChangedBy::User => "user",
            ChangedBy::Organization => "organization",
            ChangedBy::CommandLine => "command line",
        };
        let takes_effect = match declaration.takes_effect {
            TakesEffect::AtOnce => "at once",
            TakesEffect::WorkerRestart => "restarts the worker",
            TakesEffect::NextStart => "next start",
        };
        let cells = [
            declaration.name,
            &format!("`{}`", declaration.variable),
            &declaration.kind.allowed(),
            &default,
            who,
            takes_effect,
            declaration.about,
        ];
        format!("| {} |\n", cells.join(" | "))
    });
    HEAD.to_owned() + &rows.collect::<String>()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares the file with this text, or writes it.
fn keep(file: &Path, made: &str) {
    if std::env::var_os("CONSTELLATION_WRITE_MANIFESTS").is_some() {
        std::fs::write(file, made).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap();
    assert_eq!(
        kept,
        made,
        "{}: write it again with CONSTELLATION_WRITE_MANIFESTS=1",
        file.display()
    );
}

#[test]
fn the_reference_of_the_manifests_has_every_setting() {
    let file = root().join("docs/settings.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("| setting | variable |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    keep(&file, &format!("{before}{}\n{after}", table()));
}

#[test]
fn the_pages_are_tested_with_the_settings_of_the_manifests() {
    let settings = Settings::resolve(Layer::default()).shown_by_section();
    let text = serde_json::to_string_pretty(&settings).unwrap();
    keep(&root().join("ui/screenshots/settings.json"), &format!("{text}\n"));
}
