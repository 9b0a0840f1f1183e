//! What the app knows, behind one lock, and the view that follows from it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::{IdlePolicy, Status};

use super::coordinating::Door;
use super::ledger::Ledger;
use super::mode::Mode;
use super::options::Options;
use super::view::{CoordinatorView, MayView, Membership, ModeView, SettingsView, View};
use super::wish::{Pause, Wish};
use super::words::{self, Device, Facts};
use crate::settings::Settings;

const MODE_FILE: &str = "mode.json";
const WISH_FILE: &str = "wish.json";
const LEDGER_FILE: &str = "given.json";

/// A part that runs: how it is told to stop, and how its end is seen.
pub(super) type Part = (CancellationToken, watch::Receiver<()>);

pub(super) struct State {
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) facts: Facts,
    /// None until somebody chose.
    pub(super) mode: Option<Mode>,
    pub(super) worker: Option<Part>,
    pub(super) coordinator: Option<Part>,
    pub(super) door: Option<Door>,
    ledger: Ledger,
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
        let mode = Mode::load(&options.data_dir.join(MODE_FILE));
        let wish = Wish::load(&options.data_dir.join(WISH_FILE)).at(now());
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
            may: MayView { pause: true, quit: true },
            coordinator: CoordinatorView::Off,
            notes: options.notes.clone(),
            device,
        };
        Self {
            ledger: Ledger::open(&options.data_dir.join(LEDGER_FILE)),
            policy: watch::Sender::new(policy(&settings, wish)),
            options,
            settings,
            facts,
            mode,
            worker: None,
            coordinator: None,
            door: None,
        }
    }

    pub(super) fn worker_folder(&self) -> PathBuf {
        self.options.data_dir.join("worker")
    }

    pub(super) fn coordinator_folder(&self) -> PathBuf {
        self.options.data_dir.join("coordinator")
    }

    pub(super) fn choose(&mut self, mode: Mode) -> Result<(), String> {
        if !mode.worker && !mode.coordinator {
            return Err("choose at least one of the two".to_owned());
        }
        mode.save(&self.options.data_dir.join(MODE_FILE))
            .map_err(|error| format!("the choice can't be kept: {error}"))?;
        self.mode = Some(mode);
        Ok(())
    }

    /// A choice that can't be kept is asked for again at the next start.
    pub(super) fn save_mode(&self, mode: Option<Mode>) {
        if let Some(mode) = mode
            && let Err(error) = mode.save(&self.options.data_dir.join(MODE_FILE))
        {
            tracing::warn!(%error, "what this machine is for could not be kept");
        }
    }

    pub(super) fn pause(&mut self, pause: Pause) -> Result<(), String> {
        if !self.facts.may.pause {
            return Err("Managed by your organization: this can't be paused here.".to_owned());
        }
        self.wish(Wish::pause(pause, now(), &jiff::tz::TimeZone::system()));
        Ok(())
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        self.facts.wish = wish;
        self.policy.send_replace(policy(&self.settings, wish));
        if let Err(error) = wish.save(&self.options.data_dir.join(WISH_FILE)) {
            tracing::warn!(%error, "what was asked for is forgotten when the app ends");
        }
    }

    /// When the worker may train, as it changes.
    pub(super) fn policy(&self) -> watch::Receiver<IdlePolicy> {
        self.policy.subscribe()
    }

    /// The worker said something.
    pub(super) fn heard(&mut self, status: &Status) {
        if let Status::Reported { given, .. } = status {
            self.ledger.add(&today(), given, self.facts.device.kind);
        }
        if let Status::Registered { .. } = status
            && let Ok(Some(cluster)) = worker::enrolled_with(&self.worker_folder())
        {
            self.facts.membership = Membership::Member { cluster: cluster.name };
        }
        self.facts.status = Some(status.clone());
    }

    /// What ended by the clock alone.
    pub(super) fn follow_clock(&mut self) {
        let wish = self.facts.wish.at(now());
        if wish != self.facts.wish {
            self.wish(wish);
        }
    }

    pub(super) fn settings_view(&self) -> SettingsView {
        SettingsView { settings: self.settings.shown(), unknown: Vec::new() }
    }

    fn view(&mut self) -> View {
        self.facts.mode = ModeView {
            is_chosen: self.mode.is_some(),
            is_managed: false,
            worker: self.mode.is_some_and(|mode| mode.worker),
            coordinator: self.mode.is_some_and(|mode| mode.coordinator),
        };
        let given = self.ledger.view(&today());
        words::view(&self.facts, given, now(), &jiff::tz::TimeZone::system())
    }
}

/// The state and those who watch it.
pub(super) struct Shared {
    state: Mutex<State>,
    view: watch::Sender<View>,
}

impl Shared {
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

    /// Changes the state, and shows what became of it.
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

fn policy(settings: &Settings, wish: Wish) -> IdlePolicy {
    let idle = Duration::from_secs(u64::from(settings.idle_seconds.value));
    IdlePolicy { idle, wish: wish.for_worker(), ..IdlePolicy::default() }
}

/// The system's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

/// The date on the machine's own calendar.
fn today() -> String {
    jiff::ZonedDateTime::now().date().to_string()
}
