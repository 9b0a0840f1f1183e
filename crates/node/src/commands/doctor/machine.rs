//! Checks of this machine: settings, disk space and compute backend.

use std::path::{Path, PathBuf};

use platform::files::Space;
use protocol::setting::{Setting, SettingOrigin};
use trainer::{Limits, Trainer, TrainerError};

use super::check::Check;
use crate::CommandContext;
use crate::settings::{BackendSetting, SettingsError};

/// Free disk space in bytes below which a worker accepts no work.
const MINIMUM_FREE: u64 = 2_000_000_000;
/// Free disk space in bytes below which a large dataset may not fit.
const LOW_SPACE: u64 = 10_000_000_000;

pub(super) fn settings(loaded: Result<&[Setting], &SettingsError>) -> Check {
    const NAME: &str = "settings";
    let settings = match loaded {
        Ok(settings) => settings,
        Err(error) => {
            return Check::failed(NAME, error.to_string())
                .fix("Correct the setting; neither the app nor a command starts until then");
        }
    };
    let keys_from = |origin| -> Vec<&str> {
        settings
            .iter()
            .filter(|setting| setting.origin == origin)
            .map(|setting| setting.key)
            .collect()
    };
    let sources = [
        (SettingOrigin::Managed, "Managed by your organization"),
        (SettingOrigin::Environment, "From environment variables"),
        (SettingOrigin::User, "From the user's settings file"),
    ];
    let mut groups: Vec<String> = sources
        .iter()
        .map(|(origin, label)| (keys_from(*origin), label))
        .filter(|(keys, _)| !keys.is_empty())
        .map(|(keys, label)| format!("{label}: {}", keys.join(", ")))
        .collect();
    if groups.is_empty() {
        groups.push("All settings have their defaults".to_owned());
    }
    Check::ok(NAME, groups.join(". "))
}

/// Checks that the worker's folders are writable and have enough free space.
pub(super) fn disk(folders: &[PathBuf]) -> Check {
    const NAME: &str = "disk";
    let mut least: Option<(Space, &Path)> = None;
    for folder in folders {
        let existing = nearest_existing(folder);
        if let Err(error) = tempfile::NamedTempFile::new_in(existing) {
            let fix = "Make this account the owner of the folder, or pass another --data-dir";
            return Check::failed(NAME, format!("Can't write to {}: {error}", existing.display()))
                .fix(fix);
        }
        match platform::files::space(existing) {
            Ok(space) if least.is_none_or(|(known, _)| space.free < known.free) => {
                least = Some((space, folder));
            }
            Ok(_) => {}
            Err(error) => return Check::unknown(NAME, format!("{}: {error}", existing.display())),
        }
    }
    let Some((space, folder)) = least else {
        return Check::failed(NAME, platform::folders::NoHome.to_string())
            .fix("Set HOME, or pass --data-dir");
    };
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let found = format!(
        "{:.1} of {:.1} GB free at {}; the folders are writable",
        gigabytes(space.free),
        gigabytes(space.total),
        folder.display()
    );
    match space.free {
        0..MINIMUM_FREE => {
            Check::failed(NAME, found).fix("Free disk space: below 2 GB the worker accepts no work")
        }
        MINIMUM_FREE..LOW_SPACE => {
            Check::warning(NAME, found).fix("Free disk space: a large dataset may not fit")
        }
        _ => Check::ok(NAME, found),
    }
}

/// Returns the folder or its nearest existing parent.
fn nearest_existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

/// Starts a trainer as a worker does, and stops it once it is ready.
pub(super) async fn backend(context: &CommandContext, backend: BackendSetting) -> Check {
    const NAME: &str = "backend";
    let command = match context.trainer(backend) {
        Ok(command) => command,
        Err(error) => return Check::failed(NAME, error.to_string()).fix("Set HOME"),
    };
    match Trainer::start(&command, &Limits::new(1)).await {
        Ok((trainer, ready)) => {
            trainer.stop(std::time::Duration::from_secs(1)).await;
            let device = ready.gpu_name.unwrap_or_else(|| "the CPU".to_owned());
            Check::ok(NAME, format!("Trains on {device} (Backend is {backend}): {}; {}", ready.reason, ready.fingerprint))
        }
        Err(error @ TrainerError::Start { .. }) => Check::failed(NAME, error.to_string())
            .fix("The program is incomplete or blocked: install it again, and check whether security software blocks it"),
        Err(
            error @ (TrainerError::Exited { .. }
            | TrainerError::Memory { .. }
            | TrainerError::Protocol(_)
            | TrainerError::Failed { .. }
            | TrainerError::Cancelled { .. }),
        ) => Check::failed(NAME, error.to_string()).fix("Set Backend to auto or cpu"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::State;
    use super::*;
    use crate::settings::Key;

    #[test]
    fn settings_are_grouped_by_their_source() {
        let all = [
            Key::IdleSeconds.declaration().setting(json!(5), SettingOrigin::Managed),
            Key::Backend.declaration().setting(json!("cpu"), SettingOrigin::User),
            Key::LogLevel.declaration().setting(json!("x"), SettingOrigin::Default),
        ];
        let check = settings(Ok(&all));
        assert_eq!(
            check.found,
            "Managed by your organization: IdleSeconds. From the user's settings file: Backend"
        );
        assert_eq!(settings(Ok(&all[2..])).found, "All settings have their defaults");
    }

    #[test]
    fn a_missing_folder_is_checked_at_its_nearest_parent_and_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let check = disk(&[folder.path().join("not/yet/there")]);
        assert!(check.state != State::Unknown, "{}", check.found);
        assert!(
            !folder.path().join("not").exists()
                && std::fs::read_dir(folder.path()).unwrap().next().is_none()
        );
        assert_eq!(disk(&[]).state, State::Failed);
    }
}
