//! What this machine has: settings, disk, and something to compute with.

use std::path::{Path, PathBuf};

use platform::files::Space;
use protocol::setting::{Setting, SettingOrigin};
use trainer::{Limits, Trainer, TrainerError};

use super::check::Check;
use crate::CommandContext;
use crate::settings::{BackendSetting, SettingsError};

/// What a worker leaves free whatever else it may take.
const LEFT_FREE: u64 = 2_000_000_000;
/// From here on a large dataset may not fit.
const LITTLE: u64 = 10_000_000_000;

pub(super) fn settings(loaded: Result<&[Setting], &SettingsError>) -> Check {
    const NAME: &str = "settings";
    let shown = match loaded {
        Ok(shown) => shown,
        Err(error) => {
            return Check::failed(NAME, error.to_string())
                .mend("correct what the message names; until then nothing starts");
        }
    };
    let by = |origin| -> Vec<&str> {
        shown
            .iter()
            .filter(|setting| setting.origin == origin)
            .map(|setting| setting.key.as_str())
            .collect()
    };
    let sources = [
        (SettingOrigin::Managed, "managed by your organization"),
        (SettingOrigin::Environment, "from the environment"),
        (SettingOrigin::User, "from the user's file"),
    ];
    let mut words: Vec<String> = sources
        .iter()
        .map(|(origin, words)| (by(*origin), words))
        .filter(|(keys, _)| !keys.is_empty())
        .map(|(keys, words)| format!("{words}: {}", keys.join(", ")))
        .collect();
    if words.is_empty() {
        words.push("every setting has its default".to_owned());
    }
    Check::ok(NAME, words.join("; "))
}

/// Whether what a worker keeps can be written and has room.
pub(super) fn disk(folders: &[PathBuf]) -> Check {
    const NAME: &str = "disk";
    let mut least: Option<(Space, &Path)> = None;
    for folder in folders {
        let existing = nearest(folder);
        if let Err(error) = tempfile::NamedTempFile::new_in(existing) {
            let owner = "make the folder this account's own, or give another --data-dir";
            return Check::failed(
                NAME,
                format!("{} can't be written: {error}", existing.display()),
            )
            .mend(owner);
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
            .mend("set HOME, or give --data-dir");
    };
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let words = format!(
        "{:.1} of {:.1} GB are free where {} is, and the folders can be written",
        gigabytes(space.free),
        gigabytes(space.total),
        folder.display()
    );
    match space.free {
        0..LEFT_FREE => {
            Check::failed(NAME, words).mend("make room: below 2 GB a worker takes nothing")
        }
        LEFT_FREE..LITTLE => {
            Check::warning(NAME, words).mend("make room: a large dataset may not fit")
        }
        _ => Check::ok(NAME, words),
    }
}

/// The folder, or the one above it that is there already.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

/// Starts a trainer as a worker would, and asks nothing of it but that it be ready.
pub(super) async fn backend(context: &CommandContext, backend: BackendSetting) -> Check {
    const NAME: &str = "backend";
    let command = match context.trainer(backend) {
        Ok(command) => command,
        Err(error) => return Check::failed(NAME, error.to_string()).mend("set HOME"),
    };
    match Trainer::start(&command, &Limits::new(1)).await {
        Ok((trainer, ready)) => {
            trainer.stop(std::time::Duration::from_secs(1)).await;
            let device = ready.gpu_name.unwrap_or_else(|| "the CPU".to_owned());
            Check::ok(NAME, format!("computes on {device} ({backend} is set): {}; {}", ready.reason, ready.fingerprint))
        }
        Err(error @ TrainerError::Start { .. }) => Check::failed(NAME, error.to_string())
            .mend("the program is incomplete or blocked: install it again, and ask IT whether security software stops it"),
        Err(
            error @ (TrainerError::Exited { .. }
            | TrainerError::Memory { .. }
            | TrainerError::Protocol(_)
            | TrainerError::Failed { .. }
            | TrainerError::Cancelled { .. }),
        ) => Check::failed(NAME, error.to_string()).mend("set Backend to auto or cpu"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::State;
    use super::*;
    use crate::settings::shown;

    #[test]
    fn settings_are_told_by_who_decided_them() {
        let all = [
            shown("IdleSeconds", 5, SettingOrigin::Managed, ""),
            shown("Backend", "cpu", SettingOrigin::User, ""),
            shown("LogLevel", json!("x"), SettingOrigin::Default, ""),
        ];
        let check = settings(Ok(&all));
        assert_eq!(
            check.found,
            "managed by your organization: IdleSeconds; from the user's file: Backend"
        );
        assert_eq!(settings(Ok(&all[2..])).found, "every setting has its default");
    }

    #[test]
    fn a_folder_that_is_to_be_made_is_where_its_disk_is() {
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
