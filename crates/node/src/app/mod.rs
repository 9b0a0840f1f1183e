//! The app without its windows: what runs in it, what it shows as one value ([`View`]), and what a
//! person can ask of it. A menu bar, a popover or nothing at all may be put in front.

mod coordinating;
mod joining;
mod keeping_awake;
mod ledger;
mod login;
mod menu;
mod mode;
mod options;
mod resting;
mod sensors;
pub mod single_instance;
mod state;
mod updates;
pub mod view;
mod wish;
mod words;
mod working;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use protocol::join::Join;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::WorkerError;

pub use coordinating::Door;
pub use joining::Joining;
pub use menu::{Action, Item, menu};
pub use mode::Mode;
pub use options::Options;
pub use platform::account::number as account_number;
pub use platform::display::display;
pub use platform::login_item::LoginItem;
use state::{Shared, State};
pub use updates::UpdateSource;
pub use view::{SettingsView, View};
pub use wish::Pause;

use crate::settings::{Key, Settings};
use view::{CoordinatorView, Membership};

/// After so long a worker that failed tries again.
const AGAIN: Duration = Duration::from_secs(30);
/// Times of day in the view move on by themselves.
const TICK: Duration = Duration::from_secs(30);

/// A running app. Clones are the same app.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Whoever starts and stops parts does it alone.
    turn: Arc<tokio::sync::Mutex<()>>,
    login_turn: Arc<tokio::sync::Mutex<()>>,
}

impl App {
    /// Starts what this machine was chosen for, on `runtime`.
    ///
    /// # Errors
    /// Where the settings or the app's folder can't be used.
    pub fn start(options: Options, runtime: Handle) -> anyhow::Result<Self> {
        let settings = Settings::load_from(&options.places, |name| std::env::var(name).ok())?;
        std::fs::create_dir_all(&options.data_dir)
            .with_context(|| format!("can't make {}", options.data_dir.display()))?;
        // Its coordinator and its worker tighten theirs when they take them.
        platform::private::tighten(&options.data_dir)
            .with_context(|| format!("can't make {} private", options.data_dir.display()))?;
        let shared = Arc::new(Shared::new(State::load(options, settings)));
        let app = Self { shared, runtime, turn: Arc::default(), login_turn: Arc::default() };
        app.runtime.spawn(tick(app.shared.clone()));
        app.runtime.spawn(narrate(app.views()));
        app.runtime.spawn(resting::follow(app.views()));
        app.follow_login();
        app.runtime.spawn(updates::follow(app.shared.clone()));
        app.apply();
        Ok(app)
    }

    /// What is seen now, and each time that it changes.
    pub fn views(&self) -> watch::Receiver<View> {
        self.shared.views()
    }

    /// The settings page.
    pub fn settings(&self) -> SettingsView {
        self.shared.read(State::settings_view)
    }

    /// Whoever asks the coordinator in this process; none while it doesn't run.
    pub fn door(&self) -> Option<Door> {
        self.shared.read(|state| state.door.clone())
    }

    /// Sets one of the user's settings, or takes it back where there is no value.
    ///
    /// # Errors
    /// In words that say what to change; what the organization manages can't be changed here.
    pub fn set(&self, key: &str, value: Option<&str>) -> Result<SettingsView, String> {
        self.shared.change(|state| state.set(key, value))?;
        match Key::named(key) {
            Some(key) if needs_restart(key) => self.apply(),
            Some(Key::StartAtLogin) => self.follow_login(),
            Some(Key::UpdateChecks) => {
                let shared = self.shared.clone();
                self.runtime.spawn(async move { updates::look(&shared).await });
            }
            Some(_) | None => {}
        }
        Ok(self.settings())
    }

    /// Makes this machine what somebody chose, now and at every start.
    ///
    /// # Errors
    /// The organization chose already, or the choice can't be kept.
    pub fn choose(&self, mode: Mode) -> Result<(), String> {
        self.shared.change(|state| state.choose(mode))?;
        self.apply();
        Ok(())
    }

    /// Trains nothing for a while.
    ///
    /// # Errors
    /// The organization doesn't let anybody pause.
    pub fn pause(&self, pause: Pause) -> Result<(), String> {
        self.shared.change(|state| state.pause(pause))
    }

    /// Takes back a pause, or what [`App::contribute`] asked for.
    pub fn resume(&self) {
        self.shared.change(|state| state.wish(wish::Wish::None));
    }

    /// Trains for an hour though somebody uses the machine.
    pub fn contribute(&self) {
        self.shared.change(|state| state.wish(wish::Wish::contribute(state::now())));
    }

    /// Something that the windows' side lacks, for people to read.
    pub fn note(&self, words: String) {
        self.shared.change(|state| state.facts.notes.push(words));
    }

    /// Ends everything, in order.
    pub async fn stop(&self) {
        let _turn = self.turn.lock().await;
        self.stop_worker().await;
        self.stop_coordinator().await;
    }

    /// Makes what runs what the settings say, soon: the coordinator stays as it is where it may, the
    /// worker begins anew.
    fn apply(&self) {
        let app = self.clone();
        self.runtime.spawn(async move {
            let _turn = app.turn.lock().await;
            let mode = app.shared.read(State::mode);
            if mode.is_some_and(|mode| mode.coordinator) {
                app.start_coordinator().await;
            } else {
                app.stop_coordinator().await;
            }
            app.stop_worker().await;
            if mode.is_some_and(|mode| mode.worker) {
                app.start_worker();
            }
        });
    }

    async fn start_coordinator(&self) {
        if self.shared.read(|state| state.door.is_some()) {
            return;
        }
        self.shared.change(|state| state.facts.coordinator = CoordinatorView::Starting);
        let (folder, options, settings) = self.shared.read(|state| {
            (state.coordinator_folder(), state.options.clone(), state.settings.clone())
        });
        let started = coordinating::InApp::start(&folder, &options, &settings).await;
        let coordinator = match started {
            Ok(coordinator) => coordinator,
            Err(reason) => {
                return self
                    .shared
                    .change(|state| state.facts.coordinator = CoordinatorView::Failed { reason });
            }
        };
        let stop = CancellationToken::new();
        let (ended, ending) = watch::channel(());
        self.shared.change(|state| {
            state.door = Some(coordinator.door());
            state.coordinator = Some((stop.clone(), ending));
            state.facts.coordinator = CoordinatorView::Running {
                cluster: coordinator.cluster.clone(),
                url: coordinator.url(),
                warning: None,
            };
        });
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            let failed = tokio::select! {
                () = stop.cancelled() => false,
                () = coordinator.failed() => true,
                never = keeping_awake::keep(shared.clone(), coordinator.working()) => match never {},
            };
            coordinator.stop().await;
            shared.change(|state| {
                state.door = None;
                state.facts.coordinator = if failed {
                    let reason = "It can't go on; its log says why.".to_owned();
                    CoordinatorView::Failed { reason }
                } else {
                    CoordinatorView::Off
                };
            });
            drop(ended);
        });
    }

    async fn stop_coordinator(&self) {
        let running = self.shared.change(|state| state.coordinator.take());
        if let Some((stop, mut ended)) = running {
            stop.cancel();
            // Its end is the sender's.
            while ended.changed().await.is_ok() {}
        }
        self.shared.change(|state| state.facts.coordinator = CoordinatorView::Off);
    }

    async fn stop_worker(&self) {
        let running = self.shared.change(|state| state.worker.take());
        if let Some((stop, mut ended)) = running {
            stop.cancel();
            while ended.changed().await.is_ok() {}
        }
    }

    fn start_worker(&self) {
        let stop = CancellationToken::new();
        let (ended, ending) = watch::channel(());
        self.shared.change(|state| state.worker = Some((stop.clone(), ending)));
        let app = self.clone();
        self.runtime.spawn(async move {
            app.work(stop).await;
            drop(ended);
        });
    }

    /// The worker's life in the app: a failure that may pass is tried again, one that needs a code
    /// waits for it.
    async fn work(&self, stop: CancellationToken) {
        let (mut join, join_source) = self.shared.read(State::code);
        let (folder, options, settings, policy, sensors) = self.shared.read(|state| {
            let (policy, sensors) = (state.policy(), state.sensors.clone());
            (state.worker_folder(), state.options.clone(), state.settings.clone(), policy, sensors)
        });
        let known = worker::enrolled_with(&folder).ok().flatten();
        if known.is_none() && join.is_none() {
            join = self.own_code().await;
        }
        let membership = match (&known, &join) {
            (Some(cluster), _) => Membership::Member { cluster: cluster.name.clone() },
            (None, Some(_)) => Membership::Joining,
            (None, None) => {
                let none = Membership::None { problem: None };
                return self.shared.change(|state| state.facts.membership = none);
            }
        };
        self.shared.change(|state| {
            state.facts.membership = membership;
            state.facts.failure = None;
        });
        loop {
            let job = working::Job {
                folder: &folder,
                options: &options,
                settings: &settings,
                join: join.clone(),
                join_source,
                policy: policy.clone(),
                sensors: sensors.clone(),
            };
            let shared = self.shared.clone();
            let observe = move |status: &worker::Status| {
                shared.change(|state| state.heard(status));
            };
            let ended = working::run(job, observe, stop.clone()).await;
            let failure = match ended {
                Ok(Ok(())) => return,
                Ok(Err(WorkerError::BelongsTo { cluster })) => {
                    join = None;
                    self.shared.change(|state| {
                        state.code = None;
                        state.facts.join_note = Some(state.belongs_to(&cluster));
                    });
                    continue;
                }
                Ok(Err(error)) if working::needs_code(&error) => {
                    let problem = Some(error.to_string());
                    return self.shared.change(|state| {
                        state.code = None;
                        state.facts.membership = Membership::None { problem };
                    });
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => format!("{error:#}"),
            };
            tracing::warn!(failure, "the worker ended; it is tried again");
            self.shared.change(|state| state.facts.failure = Some(failure));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
            self.shared.change(|state| state.facts.failure = None);
        }
    }

    /// A code of the coordinator in this app: its machine joins without being asked.
    async fn own_code(&self) -> Option<Join> {
        let link = self.door()?.join_link().await;
        let link = link.inspect_err(|error| tracing::warn!(error, "no join code for this machine"));
        link.ok()?.parse().ok()
    }
}

/// What a worker is told when it starts; all else it follows while it runs.
const fn needs_restart(key: Key) -> bool {
    matches!(
        key,
        Key::Mode
            | Key::CoordinatorUrl
            | Key::CoordinatorPin
            | Key::EnrollmentCode
            | Key::MaximumMemoryGb
            | Key::MaximumCacheGb
            | Key::MaximumUploadMbps
            | Key::Backend
            | Key::PresenceDetail
    )
}

/// Writes each state to the log in the words that people see, for whoever has no window.
async fn narrate(mut views: watch::Receiver<View>) {
    let mut line = String::new();
    loop {
        let now = views.borrow_and_update().line.clone();
        if now != line {
            tracing::info!("{now}");
            line = now;
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Lets the view follow the clock.
async fn tick(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TICK).await;
        shared.change(State::follow_clock);
    }
}
