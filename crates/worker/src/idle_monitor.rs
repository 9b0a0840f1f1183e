//! Idle monitor: reads the sensors and decides by the policy whether the machine may train.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use platform::sensors::{PollRate, SensorReading, Sensors};
use protocol::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::WorkerSettings;
use crate::input_warning::InputWarning;
use crate::policy::{Decision, HoldDetail, IdlePolicy, LocalTime, Presence, When, decide};
use crate::schedule::Weekday;

/// Interval between readings of the input while training: a touch is noticed within it.
pub(crate) const TRAINING: Duration = PollRate::Fast.interval();
/// Interval between readings while waiting for work.
pub(crate) const WAITING: Duration = Duration::from_secs(2);
/// Interval between readings of all sensors while training.
const ALL_SENSORS: Duration = Duration::from_secs(2);

pub(crate) struct IdleMonitor {
    policy: watch::Receiver<IdlePolicy>,
    sensors: Arc<dyn Sensors>,
    input_warning: Arc<Mutex<InputWarning>>,
    latest: Mutex<LatestReading>,
}

/// Makes the sensors read the input at the fast rate until it is dropped.
struct FastPolling<'a>(&'a dyn Sensors);

/// Latest reading of all sensors.
#[derive(Default)]
struct LatestReading {
    reading: SensorReading,
    started: Option<Instant>,
    /// A reading that runs in the background while training, because it may take longer than
    /// [`TRAINING`].
    pending: Option<JoinHandle<SensorReading>>,
}

impl IdleMonitor {
    pub(crate) fn new(settings: &WorkerSettings) -> Self {
        let (policy, sensors) = (settings.policy.clone(), Arc::clone(&settings.sensors));
        let input_warning = Arc::new(Mutex::new(InputWarning::new(&settings.data_dir)));
        Self { policy, sensors, input_warning, latest: Mutex::default() }
    }

    /// Completes when the machine must stop training. Checks at this interval.
    pub(crate) async fn until_hold(&self, interval: Duration) -> HoldDetail {
        let _fast = (interval <= TRAINING).then(|| FastPolling::start(&*self.sensors));
        loop {
            if let Decision::Hold(hold) = self.decide(Presence::Running).await {
                return hold;
            }
            let when = self.policy.borrow().when;
            match when {
                When::Idle => self.pause(interval).await,
                When::Always => self.pause(interval.max(WAITING)).await,
            }
        }
    }

    /// Completes when the machine may train. Calls `on_hold` at every check with the reason why it may
    /// not yet.
    pub(crate) async fn until_run(&self, mut on_hold: impl FnMut(HoldDetail)) {
        while let Decision::Hold(hold) = self.decide(Presence::Held).await {
            on_hold(hold);
            self.pause(WAITING).await;
        }
    }

    async fn decide(&self, was: Presence) -> Decision {
        let policy = self.policy.borrow().clone();
        let reading = match (policy.when, was) {
            // The policy ignores the sensors then.
            (When::Always, _) => SensorReading::default(),
            (When::Idle, Presence::Held) => self.read_all().await,
            (When::Idle, Presence::Running) => self.read_input(),
        };
        decide(&policy, was, &reading, local_time())
    }

    /// Reads all sensors and waits for them, which a machine that does not train yet can afford.
    async fn read_all(&self) -> SensorReading {
        let started = Instant::now();
        let reading = match self.start_reading().await {
            Ok(reading) => reading,
            Err(error) => {
                tracing::error!(%error, "the sensors can't be read");
                SensorReading::default()
            }
        };
        *self.lock() = LatestReading { reading, started: Some(started), pending: None };
        reading
    }

    /// Reads the input now and takes all other values from the latest reading, which it renews in the
    /// background.
    fn read_input(&self) -> SensorReading {
        let mut latest = self.lock();
        if let Some(pending) = &mut latest.pending {
            if let Some(done) = pending.now_or_never() {
                latest.pending = None;
                latest.reading = done.unwrap_or_default();
            }
        } else if latest.started.is_none_or(|started| started.elapsed() >= ALL_SENSORS) {
            latest.started = Some(Instant::now());
            latest.pending = Some(self.start_reading());
        }
        let reading = latest.reading;
        drop(latest);
        SensorReading { input: self.sensors.input(), ..reading }
    }

    /// Reads all sensors on another thread, and records the warning about them.
    fn start_reading(&self) -> JoinHandle<SensorReading> {
        let (sensors, warning) = (Arc::clone(&self.sensors), Arc::clone(&self.input_warning));
        tokio::task::spawn_blocking(move || {
            let reading = sensors.sense();
            let mut recorded = warning.lock().unwrap_or_else(PoisonError::into_inner);
            recorded.record(sensors.input_warning());
            reading
        })
    }

    fn lock(&self) -> MutexGuard<'_, LatestReading> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `wait`, or until the policy changes.
    async fn pause(&self, wait: Duration) {
        let mut policy = self.policy.clone();
        policy.mark_unchanged();
        let changed = async {
            if policy.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        drop(tokio::time::timeout(wait, changed).await);
    }
}

impl<'a> FastPolling<'a> {
    fn start(sensors: &'a dyn Sensors) -> Self {
        sensors.set_poll_rate(PollRate::Fast);
        Self(sensors)
    }
}

impl Drop for FastPolling<'_> {
    fn drop(&mut self) {
        self.0.set_poll_rate(PollRate::Slow);
    }
}

fn local_time() -> LocalTime {
    let local = jiff::ZonedDateTime::now();
    let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
    let minutes = i16::from(local.hour()) * 60 + i16::from(local.minute());
    LocalTime { now: now(), weekday: Weekday::Monday.plus(day), minutes: minutes.unsigned_abs() }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

#[cfg(test)]
mod tests {
    use platform::sensors::{Thermal, Unknown};
    use tempfile::TempDir;
    use tokio_util::sync::CancellationToken;
    use trainer::TrainerCommand;

    use super::*;
    use crate::policy::UserOverride;

    /// Sensors whose reading a test sets, with the rate that the monitor sets.
    struct FakeSensors(watch::Receiver<SensorReading>, watch::Sender<PollRate>);

    impl FakeSensors {
        fn new(readings: watch::Receiver<SensorReading>) -> Self {
            Self(readings, watch::Sender::default())
        }
    }

    impl Sensors for FakeSensors {
        fn input(&self) -> Option<Duration> {
            self.0.borrow().input
        }

        fn sense(&self) -> SensorReading {
            *self.0.borrow()
        }

        fn unknowns(&self) -> Vec<Unknown> {
            vec![]
        }

        fn set_poll_rate(&self, rate: PollRate) {
            self.1.send_replace(rate);
        }

        fn input_warning(&self) -> Option<String> {
            let is_warm = self.0.borrow().thermal == Some(Thermal::Serious);
            is_warm.then(|| "a test".to_owned())
        }
    }

    fn idle_for(seconds: u64) -> SensorReading {
        SensorReading { input: Some(Duration::from_secs(seconds)), ..SensorReading::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_touch_holds_and_idleness_releases() {
        let (machine, readings) = watch::channel(idle_for(10));
        let (_policy, policy) = watch::channel(IdlePolicy::default());
        let monitor = monitor(readings, policy);
        let released = CancellationToken::new();
        let (entered, mut was_entered) = watch::channel(false);
        let waiting = async {
            let on_hold = |hold| {
                assert_eq!(hold, HoldDetail::InUse);
                entered.send_replace(true);
            };
            monitor.until_run(on_hold).await;
            released.cancel();
        };
        let away = async {
            was_entered.wait_for(|entered| *entered).await.unwrap();
            assert!(!released.is_cancelled());
            machine.send_replace(idle_for(300));
        };
        tokio::join!(waiting, away);
        let touch = async { machine.send_replace(idle_for(0)) };
        let (hold, _) = tokio::join!(monitor.until_hold(TRAINING), touch);
        assert_eq!(hold, HoldDetail::InUse);
    }

    #[tokio::test(start_paused = true)]
    async fn all_sensors_are_read_while_training() {
        let (machine, readings) = watch::channel(idle_for(3600));
        let (_policy, policy) = watch::channel(IdlePolicy::default());
        let monitor = monitor(readings, policy);
        monitor.until_run(|hold| panic!("{hold:?}")).await;
        machine.send_replace(SensorReading { thermal: Some(Thermal::Critical), ..idle_for(3600) });
        assert_eq!(monitor.until_hold(TRAINING).await, HoldDetail::TooWarm);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_policy_takes_effect_at_once() {
        let (change, policy) =
            watch::channel(IdlePolicy { when: When::Always, ..IdlePolicy::default() });
        let monitor = monitor(watch::channel(idle_for(3600)).1, policy);
        let press =
            async { change.send_modify(|policy| policy.user_override = UserOverride::Paused) };
        let (hold, ()) = tokio::join!(monitor.until_hold(TRAINING), press);
        assert_eq!(hold, HoldDetail::Paused);
        let press =
            async { change.send_modify(|policy| policy.user_override = UserOverride::None) };
        tokio::join!(monitor.until_run(|_| {}), press);
    }

    #[tokio::test(start_paused = true)]
    async fn sensors_are_read_fast_only_while_training() {
        let (machine, readings) = watch::channel(idle_for(3600));
        let sensors = FakeSensors::new(readings);
        let mut rates = sensors.1.subscribe();
        let (_policy, policy) = watch::channel(IdlePolicy::default());
        let monitor = monitor_of(Arc::new(sensors), policy, "unused".into());
        {
            let training = monitor.until_hold(TRAINING);
            // A value of the channel must not live when the end of the training changes it.
            let is_fast = async {
                drop(rates.wait_for(|rate| *rate == PollRate::Fast).await.unwrap());
            };
            tokio::select! {
                hold = training => panic!("{hold:?}"),
                () = is_fast => {}
            }
        }
        assert_eq!(*rates.borrow_and_update(), PollRate::Slow, "its end by another reason");
        machine.send_replace(idle_for(0));
        monitor.until_hold(WAITING).await;
        assert!(!rates.has_changed().unwrap(), "waiting for work");
        monitor.until_hold(TRAINING).await;
        assert!(rates.has_changed().unwrap());
        assert_eq!(*rates.borrow_and_update(), PollRate::Slow, "its end by a hold");
    }

    #[tokio::test(start_paused = true)]
    async fn a_warning_about_the_input_is_kept_for_the_doctor_while_it_lasts() {
        let folder = TempDir::new().unwrap();
        let warm = SensorReading { thermal: Some(Thermal::Serious), ..idle_for(3600) };
        let (machine, readings) = watch::channel(warm);
        let (_policy, policy) = watch::channel(IdlePolicy::default());
        let sensors = Arc::new(FakeSensors::new(readings));
        let monitor = monitor_of(sensors, policy, folder.path().to_owned());
        let warning = || crate::input_warning(folder.path()).unwrap();
        assert_eq!(warning(), None);
        monitor.read_all().await;
        assert_eq!(warning().as_deref(), Some("a test"));
        machine.send_replace(idle_for(3600));
        monitor.read_all().await;
        assert_eq!(warning(), None);
    }

    fn monitor(
        readings: watch::Receiver<SensorReading>,
        policy: watch::Receiver<IdlePolicy>,
    ) -> IdleMonitor {
        monitor_of(Arc::new(FakeSensors::new(readings)), policy, "unused".into())
    }

    fn monitor_of(
        sensors: Arc<FakeSensors>,
        policy: watch::Receiver<IdlePolicy>,
        folder: std::path::PathBuf,
    ) -> IdleMonitor {
        let trainer = TrainerCommand { program: "unused".into(), args: vec![] };
        let settings = WorkerSettings::new(folder, watch::channel(None).1, trainer);
        IdleMonitor::new(&WorkerSettings { policy, sensors, ..settings })
    }
}
