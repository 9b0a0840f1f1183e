//! The app's state behind one lock, and the view derived from it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use platform::sensors::{Sensors, SystemSensors};
use protocol::Timestamp;
use protocol::join::Join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{IdlePolicy, JoinSource, Status};

use super::contribution_log::ContributionLog;
use super::embedded_coordinator::InProcessClient;
use super::invitation::Invitation;
use super::mode::Mode;
use super::options::Options;
use super::sensors;
use super::update_source::obstacle;
use super::user_override::{Pause, TimedOverride};
use super::view::{
    CoordinatorView, MayView, Membership, ModeView, Seen, SettingsView, UpdateView, View,
};
use super::view_text::{self, Device, Facts};
use crate::commands::access::COORDINATOR_FOLDER;
use crate::settings::{Key, Settings};

const WISH_FILE: &str = "wish.json";
const LEDGER_FILE: &str = "given.json";

/// Running part: a token that stops it, and a receiver that reports its end.
pub(super) type Part = (CancellationToken, watch::Receiver<()>);

pub(super) struct State {
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) facts: Facts,
    pub(super) worker: Option<Part>,
    pub(super) coordinator: Option<Part>,
    pub(super) door: Option<InProcessClient>,
    pub(super) sensors: Arc<SystemSensors>,
    /// Join code that was entered and not used yet.
    pub(super) code: Option<Join>,
    pub(super) invitation: Option<Invitation>,
    ledger: ContributionLog,
    policy: watch::Sender<IdlePolicy>,
}

impl State {
    pub(super) fn load(options: Options, settings: Settings) -> Self {
        let facts = platform::DeviceFacts::read();
        let device = Device {
            name: facts.name,
            kind: facts.device_type,
            cores: facts.cores,
            ram_gb: facts.ram_gb,
        };
        let wish = TimedOverride::load(&options.data_dir.join(WISH_FILE)).at(now());
        let facts = Facts {
            mode: ModeView {
                is_chosen: false,
                is_managed: false,
                worker: false,
                coordinator: false,
            },
            status: None,
            failure: None,
            membership: Membership::None { problem: None },
            wish,
            may: may(&settings),
            presence: settings.presence(),
            coordinator: CoordinatorView::Off,
            update: UpdateView::Unknown,
            notes: options.notes.clone(),
            local_network_off: false,
            memory: None,
            join_note: None,
            login_problem: None,
            device,
        };
        Self {
            ledger: ContributionLog::open(&options.data_dir.join(LEDGER_FILE)),
            policy: watch::Sender::new(policy(&settings, wish)),
            sensors: Arc::new(SystemSensors::with_idle_helper(options.idle_helper())),
            options,
            settings,
            facts,
            code: None,
            invitation: None,
            worker: None,
            coordinator: None,
            door: None,
        }
    }

    pub(super) fn worker_folder(&self) -> PathBuf {
        self.options.data_dir.join(crate::commands::worker::folder(self.options.instance))
    }

    pub(super) fn coordinator_folder(&self) -> PathBuf {
        self.options.data_dir.join(COORDINATOR_FOLDER)
    }

    /// Returns the mode. `None` until one is chosen.
    pub(super) fn mode(&self) -> Option<Mode> {
        Mode::from_settings(&self.settings)
    }

    pub(super) fn choose(&mut self, mode: Mode) -> Result<(), String> {
        let text = mode.text().ok_or("choose at least one of the two")?;
        self.set(Key::Mode.name(), Some(text))
    }

    /// Sets or removes one of the user's settings, and applies it immediately.
    pub(super) fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        let places = &self.options.places;
        let set = match value {
            Some(value) => places.set_user(key, value),
            None => places.unset_user(key),
        };
        set.map_err(|error| error.to_string())?;
        let read = Settings::load_from(places, |name| std::env::var(name).ok());
        self.settings = read.map_err(|error| error.to_string())?;
        self.facts.may = may(&self.settings);
        self.facts.presence = self.settings.presence();
        self.policy.send_replace(policy(&self.settings, self.facts.wish));
        Ok(())
    }

    pub(super) fn pause(&mut self, pause: Pause) -> Result<(), String> {
        if !self.facts.may.pause {
            return Err("Managed by your organization: this can't be paused here.".to_owned());
        }
        self.set_override(TimedOverride::pause(pause, now(), &jiff::tz::TimeZone::system()));
        Ok(())
    }

    pub(super) fn set_override(&mut self, wish: TimedOverride) {
        self.facts.wish = wish;
        self.policy.send_replace(policy(&self.settings, wish));
        if let Err(error) = wish.save(&self.options.data_dir.join(WISH_FILE)) {
            tracing::warn!(%error, "can't save the override; it is lost when the app quits");
        }
    }

    /// Returns the join code and its source: the code that was entered here, otherwise that of the
    /// settings.
    pub(super) fn code(&self) -> (Option<Join>, JoinSource) {
        let set = &self.settings.enrollment_code;
        match &self.code {
            Some(given) => (Some(given.clone()), JoinSource::Person),
            None => (set.value.clone(), set.join_source()),
        }
    }

    /// Returns a receiver of the idle policy.
    pub(super) fn policy(&self) -> watch::Receiver<IdlePolicy> {
        self.policy.subscribe()
    }

    /// Records a status of the worker.
    pub(super) fn record_status(&mut self, status: &Status) {
        if let Status::Reported { given, .. } = status {
            self.ledger.add(&today(), given, self.facts.device.kind);
        }
        if let Status::Registered { .. } = status
            && let Ok(Some(cluster)) = worker::enrolled_with(&self.worker_folder())
        {
            self.code = None;
            self.facts.membership = Membership::Member { cluster: cluster.name };
        }
        self.facts.local_network_off =
            matches!(status, Status::Offline { .. }) && platform::system::refuses_local_network();
        if let Status::Limited { words } = status {
            self.facts.memory.clone_from(words);
            return;
        }
        if let Status::JoinFailed { reason } = status {
            self.code = None;
            self.facts.join_note = Some(format!("A join code failed: {reason}"));
            return;
        }
        self.facts.status = Some(status.clone());
    }

    /// Ends overrides whose time is over.
    pub(super) fn follow_clock(&mut self) {
        let wish = self.facts.wish.at(now());
        if wish != self.facts.wish {
            self.set_override(wish);
        }
    }

    /// Returns the reason why the app doesn't check for updates.
    pub(super) fn update_obstacle(&self) -> Option<&'static str> {
        let folder = self.options.program.parent();
        let is_own = folder.is_some_and(platform::files::is_writable);
        obstacle(self.options.updates.as_ref(), &self.settings, is_own)
    }

    pub(super) fn settings_view(&self) -> SettingsView {
        let unknown = self.sensors.unknowns().into_iter();
        let unknown = unknown.map(|unknown| Seen {
            name: sensors::sensor_text(unknown.name).to_owned(),
            value: unknown.reason,
        });
        let mut settings = self.settings.shown_by_section();
        let looks = self.options.updates.is_some();
        // A switch without effect would mislead, so it is hidden.
        settings.retain(|setting| looks || setting.key != Key::UpdateChecks.name());
        SettingsView { settings, unknown: unknown.collect() }
    }

    fn view(&mut self) -> View {
        let mode = self.mode();
        self.facts.mode = ModeView {
            is_chosen: mode.is_some(),
            is_managed: self.settings.text(Key::Mode).source.is_managed(),
            worker: mode.is_some_and(|mode| mode.worker),
            coordinator: mode.is_some_and(|mode| mode.coordinator),
        };
        let given = self.ledger.view(&today());
        let view = view_text::view(&self.facts, given, now(), &jiff::tz::TimeZone::system());
        View { invitation: self.invitation_view(), ..view }
    }
}

/// State and its observers.
pub(super) struct SharedState {
    state: Mutex<State>,
    view: watch::Sender<View>,
}

impl SharedState {
    pub(super) fn new(mut state: State) -> Self {
        let view = watch::Sender::new(state.view());
        Self { state: Mutex::new(state), view }
    }

    pub(super) fn views(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Changes the state and publishes the new view.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let view = state.view();
        self.view.send_if_modified(|shown| {
            let changed = *shown != view;
            *shown = view;
            changed
        });
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn policy(settings: &Settings, wish: TimedOverride) -> IdlePolicy {
    IdlePolicy { user_override: wish.for_worker(), ..settings.policy() }
}

fn may(settings: &Settings) -> MayView {
    MayView { pause: settings.is_on(Key::AllowUserPause), quit: settings.is_on(Key::AllowUserQuit) }
}

/// Returns the current time of the system's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

/// Returns the current date in the machine's time zone.
fn today() -> String {
    jiff::ZonedDateTime::now().date().to_string()
}

#[cfg(test)]
mod tests {
    use platform::managed::Managed;
    use protocol::setting::SettingOrigin;

    use super::*;
    use crate::settings::Places;
    use crate::settings::tests::values;

    #[test]
    fn nothing_that_is_managed_is_changed_in_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let forced = Key::ALL.iter().map(|key| (key.name().to_owned(), values(*key)[0].clone()));
        let user = folder.path().join("settings.toml");
        let places =
            Places { user: Some(user.clone()), managed: Managed::Forced(forced.collect()) };
        let options = Options {
            data_dir: folder.path().to_owned(),
            places: places.clone(),
            program: folder.path().join("constellation"),
            listen: "127.0.0.1:0".parse().unwrap(),
            instance: 0,
            login_item: None,
            updates: None,
            notes: Vec::new(),
        };
        let settings = Settings::load_from(&places, |_| None).unwrap();
        let mut state = State::load(options, settings);
        for key in Key::ALL {
            for value in [Some(values(*key)[1].as_str()), None] {
                let refusal = state.set(key.name(), value).unwrap_err();
                assert_eq!(refusal, format!("{key}: Managed by your organization"));
            }
        }
        let shown = state.settings_view().settings;
        assert!(shown.iter().all(|setting| setting.origin == SettingOrigin::Managed), "{shown:?}");
        assert_eq!(shown.len(), Key::ALL.len() - 1, "all but UpdateChecks");
        assert!(state.view().mode.is_managed && !user.exists());
        let chosen = state.choose(Mode { worker: true, coordinator: true });
        assert!(chosen.unwrap_err().contains("Managed by your organization"));
    }
}
