//! Starting at login, as the setting says.

use platform::login_item::{LoginItem, NotSet};

use super::App;
use crate::settings::Key;

impl App {
    /// Makes the system start the app at login or not, soon; where that can't be, the view says why.
    pub(super) fn follow_login(&self) {
        let app = self.clone();
        self.runtime.spawn(async move {
            // Two changes are followed one after the other, each as the setting is by then.
            let _turn = app.login_turn.lock().await;
            let (starts, item) = app.shared.read(|state| {
                (state.settings.is_on(Key::StartAtLogin), state.options.login_item.clone())
            });
            let set = tokio::task::spawn_blocking(move || set(item, starts)).await;
            let problem = match set {
                Ok(set) => set.err(),
                Err(error) => Some(error.to_string()),
            };
            match &problem {
                None if starts => tracing::info!("the app starts at login"),
                None => tracing::info!("the app does not start at login"),
                Some(problem) => tracing::warn!(problem, "starting at login is not as it is set"),
            }
            app.shared.change(|state| state.facts.login_problem = problem);
        });
    }
}

fn set(item: Option<Result<LoginItem, NotSet>>, starts: bool) -> Result<(), String> {
    match item {
        Some(item) => item.and_then(|item| item.set(starts)).map_err(|reason| reason.to_string()),
        // It has no part in its user's session: what starts there is an app without arguments.
        None if starts => Err("an app with a folder of its own is started by hand".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_with_a_folder_of_its_own_touches_nothing() {
        assert_eq!(set(None, false), Ok(()));
        assert!(set(None, true).unwrap_err().contains("started by hand"));
    }
}
