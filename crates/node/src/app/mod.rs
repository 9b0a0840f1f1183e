//! The app without its windows: its parts, its state as one value ([`View`]), and its actions. A front end
//! such as a menu bar or a popover is optional.

mod contribution_log;
mod embedded_coordinator;
mod embedded_worker;
mod idle_memory;
mod invitation;
mod joining;
mod login;
mod menu;
mod mode;
mod options;
mod sensors;
pub mod single_instance;
mod sleep_inhibitor;
mod state;
mod update_source;
mod updates;
mod user_override;
pub mod view;
mod view_text;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use protocol::join::Join;
use protocol::setting::TakesEffect;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker::WorkerError;

pub use embedded_coordinator::InProcessClient;
pub use joining::Joining;
pub use menu::{Action, Item, menu};
pub use mode::Mode;
pub use options::Options;
pub use platform::account::number as account_number;
pub use platform::display::check as check_display;
pub use platform::login_item::LoginItem;
use state::{SharedState, State};
pub use update_source::UpdateSource;
pub use user_override::Pause;
pub use view::{SettingsView, View};

use crate::settings::{Key, Settings};
use view::{CoordinatorView, Membership, UpdateView};

/// Delay before a failed worker is restarted.
const AGAIN: Duration = Duration::from_secs(30);
/// Interval at which times of day in the view are updated.
const TICK: Duration = Duration::from_secs(30);

/// Handle of the running app. Clones refer to the same app.
#[derive(Clone)]
pub struct App {
    shared: Arc<SharedState>,
    runtime: Handle,
    /// Serializes starting and stopping of parts.
    turn: Arc<tokio::sync::Mutex<()>>,
    login_turn: Arc<tokio::sync::Mutex<()>>,
}

impl App {
    /// Starts the parts of the chosen mode on `runtime`.
    ///
    /// # Errors
    /// The settings or the app's folder can't be used.
    pub fn start(options: Options, runtime: Handle) -> anyhow::Result<Self> {
        let settings = Settings::load_from(&options.places, |name| std::env::var(name).ok())?;
        std::fs::create_dir_all(&options.data_dir)
            .with_context(|| format!("can't make {}", options.data_dir.display()))?;
        // The coordinator and the worker tighten their own folders when they lock them.
        platform::private::tighten(&options.data_dir)
            .with_context(|| format!("can't make {} private", options.data_dir.display()))?;
        let shared = Arc::new(SharedState::new(State::load(options, settings)));
        let app = Self { shared, runtime, turn: Arc::default(), login_turn: Arc::default() };
        app.runtime.spawn(tick(app.shared.clone()));
        app.runtime.spawn(narrate(app.views()));
        app.runtime.spawn(idle_memory::follow(app.views()));
        app.follow_login();
        app.runtime.spawn(updates::follow(app.shared.clone()));
        app.apply();
        Ok(app)
    }

    /// Returns a receiver of the current view and its changes.
    pub fn views(&self) -> watch::Receiver<View> {
        self.shared.views()
    }

    /// Returns the contents of the settings page.
    pub fn settings(&self) -> SettingsView {
        self.shared.read(State::settings_view)
    }

    /// Returns a client for the coordinator in this process. `None` while it isn't running.
    pub fn in_process_client(&self) -> Option<InProcessClient> {
        self.shared.read(|state| state.door.clone())
    }

    /// Sets one of the user's settings, or removes it if `value` is `None`.
    ///
    /// # Errors
    /// Returns a message that says what to change. Managed settings can't be changed here.
    pub fn set(&self, key: &str, value: Option<&str>) -> Result<SettingsView, String> {
        self.shared.change(|state| state.set(key, value))?;
        let key = Key::named(key);
        match key.map(|key| key.declaration().takes_effect) {
            Some(TakesEffect::WorkerRestart) => self.apply(),
            Some(TakesEffect::AtOnce | TakesEffect::NextStart) | None => {}
        }
        match key {
            Some(Key::StartAtLogin) => self.follow_login(),
            Some(Key::UpdateChecks) => {
                let shared = self.shared.clone();
                self.runtime.spawn(async move { updates::look(&shared).await });
            }
            Some(_) | None => {}
        }
        Ok(self.settings())
    }

    /// Changes the mode of this machine, now and for every start.
    ///
    /// # Errors
    /// The organization manages the mode, or it can't be saved.
    pub fn choose(&self, mode: Mode) -> Result<(), String> {
        self.shared.change(|state| state.choose(mode))?;
        self.apply();
        Ok(())
    }

    /// Pauses training.
    ///
    /// # Errors
    /// The organization does not allow pauses.
    pub fn pause(&self, pause: Pause) -> Result<(), String> {
        self.shared.change(|state| state.pause(pause))
    }

    /// Ends a pause, or the effect of [`App::contribute`].
    pub fn resume(&self) {
        self.shared.change(|state| state.set_override(user_override::TimedOverride::None));
    }

    /// Trains for an hour even if the machine is in use.
    pub fn contribute(&self) {
        self.shared.change(|state| {
            state.set_override(user_override::TimedOverride::contribute(state::now()));
        });
    }

    /// Adds a note for the person, such as a missing feature of the display.
    pub fn note(&self, words: String) {
        self.shared.change(|state| state.facts.notes.push(words));
    }

    /// Opens the download page of the newer version, if there is one.
    pub fn open_download(&self) {
        let update = self.views().borrow().update.clone();
        if let UpdateView::Newer { page, .. } = update {
            self.runtime.spawn_blocking(move || {
                if let Err(error) = platform::system::open_page(&page) {
                    tracing::warn!(%error, page, "can't open the browser");
                }
            });
        }
    }

    /// Stops all parts, in order.
    pub async fn stop(&self) {
        let _turn = self.turn.lock().await;
        self.stop_worker().await;
        self.stop_coordinator().await;
    }

    /// Applies the settings to the running parts soon. The coordinator keeps running if it can; the
    /// worker restarts.
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
        let started =
            embedded_coordinator::EmbeddedCoordinator::start(&folder, &options, &settings).await;
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
            state.door = Some(coordinator.in_process_client());
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
                never = sleep_inhibitor::keep(shared.clone(), coordinator.working()) => match never {},
            };
            coordinator.stop().await;
            shared.change(|state| {
                state.door = None;
                state.facts.coordinator = if failed {
                    let reason = "The coordinator stopped. Its log contains the reason.".to_owned();
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
            // The loop ends when the sender is dropped.
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

    /// Runs the worker. Retries after a temporary failure; after a failure that needs a join code, waits
    /// for one.
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
            let job = embedded_worker::EmbeddedWorker {
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
                shared.change(|state| state.record_status(status));
            };
            let ended = embedded_worker::run(job, observe, stop.clone()).await;
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
                Ok(Err(error)) if embedded_worker::needs_code(&error) => {
                    let problem = Some(error.to_string());
                    return self.shared.change(|state| {
                        state.code = None;
                        state.facts.membership = Membership::None { problem };
                    });
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => format!("{error:#}"),
            };
            tracing::warn!(failure, "the worker failed and will be restarted");
            self.shared.change(|state| state.facts.failure = Some(failure));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
            self.shared.change(|state| state.facts.failure = None);
        }
    }

    /// Creates a join code of the app's own coordinator: this machine joins without a question.
    async fn own_code(&self) -> Option<Join> {
        let link = self.in_process_client()?.join_link().await;
        let link = link.inspect_err(|error| {
            tracing::warn!(error, "can't create a join code for this machine");
        });
        link.ok()?.parse().ok()
    }
}

/// Writes each state to the log in the text of the view, for apps without windows.
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

/// Updates the view periodically, because it contains times.
async fn tick(shared: Arc<SharedState>) {
    loop {
        tokio::time::sleep(TICK).await;
        shared.change(State::follow_clock);
    }
}
