//! Applies the setting `StartAtLogin`.

use platform::login_item::{LoginItem, NotSet};

use super::App;
use crate::settings::Key;

impl App {
    /// Registers or removes the login item in the background. If that fails, the view shows the reason.
    pub(super) fn follow_login(&self) {
        let app = self.clone();
        self.runtime.spawn(async move {
            // Changes are applied one at a time, each with the value that the setting has then.
            let _guard = app.login_turn.lock().await;
            let (enabled, item) = app.shared.read(|state| {
                (state.settings.is_on(Key::StartAtLogin), state.options.login_item.clone())
            });
            let set = tokio::task::spawn_blocking(move || set(item, enabled)).await;
            let problem = match set {
                Ok(set) => set.err(),
                Err(error) => Some(error.to_string()),
            };
            match &problem {
                None if enabled => tracing::info!("the app starts at login"),
                None => tracing::info!("the app does not start at login"),
                Some(problem) => tracing::warn!(problem, "can't apply the setting StartAtLogin"),
            }
            app.shared.change(|state| state.facts.login_problem = problem);
        });
    }
}

fn set(item: Option<Result<LoginItem, NotSet>>, enabled: bool) -> Result<(), String> {
    match item {
        Some(item) => item.and_then(|item| item.set(enabled)).map_err(|reason| reason.to_string()),
        // A login item starts the app without arguments, so it can't pass a --data-dir.
        None if enabled => Err("an app with its own --data-dir can't start at login".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_with_its_own_data_dir_has_no_login_item() {
        assert_eq!(set(None, false), Ok(()));
        assert!(set(None, true).unwrap_err().contains("can't start at login"));
    }
}
