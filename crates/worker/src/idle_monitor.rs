//! The machine's owner: asks the sensors and the policy, as often as it matters now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use platform::sensors::{SensorReading, Sensors};
use protocol::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::WorkerSettings;
use crate::policy::{Decision, HoldDetail, IdlePolicy, LocalTime, Presence, When, decide};
use crate::schedule::Weekday;

/// Between two readings while training: a touch is seen within it.
pub(crate) const TRAINING: Duration = Duration::from_millis(50);
/// While only waiting for work.
pub(crate) const WAITING: Duration = Duration::from_secs(2);
/// Between two readings of everything but the input.
const WHOLE: Duration = Duration::from_secs(2);

pub(crate) struct IdleMonitor {
    policy: watch::Receiver<IdlePolicy>,
    sensors: Arc<dyn Sensors>,
    whole: Mutex<MachineReading>,
}

/// The latest reading of everything.
#[derive(Default)]
struct MachineReading {
    sensed: SensorReading,
    asked: Option<Instant>,
    /// A reading under way while training: it may take a while, and a touch can't wait for it.
    asking: Option<JoinHandle<SensorReading>>,
}

impl IdleMonitor {
    pub(crate) fn new(settings: &WorkerSettings) -> Self {
        let (policy, sensors) = (settings.policy.clone(), Arc::clone(&settings.sensors));
        Self { policy, sensors, whole: Mutex::default() }
    }

    /// Ends when the machine must not train any more; looks every so often.
    pub(crate) async fn until_hold(&self, every: Duration) -> HoldDetail {
        loop {
            if let Decision::HoldDetail(hold) = self.decide(Presence::Running).await {
                return hold;
            }
            let when = self.policy.borrow().when;
            match when {
                When::Idle => self.pause(every).await,
                When::Always => self.pause(every.max(WAITING)).await,
            }
        }
    }

    /// Ends when the machine may train; `held` hears why it may not yet.
    pub(crate) async fn until_run(&self, mut held: impl FnMut(HoldDetail)) {
        while let Decision::HoldDetail(hold) = self.decide(Presence::Held).await {
            held(hold);
            self.pause(WAITING).await;
        }
    }

    async fn decide(&self, was: Presence) -> Decision {
        let policy = self.policy.borrow().clone();
        let reading = match (policy.when, was) {
            // Whatever they say: they needn't be asked.
            (When::Always, _) => SensorReading::default(),
            (When::Idle, Presence::Held) => self.read_whole().await,
            (When::Idle, Presence::Running) => self.read(),
        };
        decide(&policy, was, &reading, moment())
    }

    /// Everything as it is now: who is about to begin has the time.
    async fn read_whole(&self) -> SensorReading {
        let (sensors, asked) = (Arc::clone(&self.sensors), Instant::now());
        let sensed = match tokio::task::spawn_blocking(move || sensors.sense()).await {
            Ok(sensed) => sensed,
            Err(error) => {
                tracing::error!(%error, "the sensors can't be read");
                SensorReading::default()
            }
        };
        *self.lock() = MachineReading { sensed, asked: Some(asked), asking: None };
        sensed
    }

    /// The input as it is now, everything else as it was a moment ago.
    fn read(&self) -> SensorReading {
        let mut whole = self.lock();
        if let Some(asking) = &mut whole.asking {
            if let Some(done) = asking.now_or_never() {
                whole.asking = None;
                whole.sensed = done.unwrap_or_default();
            }
        } else if whole.asked.is_none_or(|asked| asked.elapsed() >= WHOLE) {
            whole.asked = Some(Instant::now());
            let sensors = Arc::clone(&self.sensors);
            whole.asking = Some(tokio::task::spawn_blocking(move || sensors.sense()));
        }
        let sensed = whole.sensed;
        drop(whole);
        SensorReading { input: self.sensors.input(), ..sensed }
    }

    fn lock(&self) -> MutexGuard<'_, MachineReading> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the next look, or until the policy changes.
    async fn pause(&self, wait: Duration) {
        let mut policy = self.policy.clone();
        policy.mark_unchanged();
        let changed = async {
            if policy.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        // Either way it is time to look.
        drop(tokio::time::timeout(wait, changed).await);
    }
}

fn moment() -> LocalTime {
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
    use tokio_util::sync::CancellationToken;
    use trainer::TrainerCommand;

    use super::*;
    use crate::policy::UserOverride;

    /// The machine as a test sets it.
    struct Told(watch::Receiver<SensorReading>);

    impl Sensors for Told {
        fn input(&self) -> Option<Duration> {
            self.0.borrow().input
        }

        fn sense(&self) -> SensorReading {
            *self.0.borrow()
        }

        fn unknowns(&self) -> Vec<Unknown> {
            vec![]
        }
    }

    fn idle_for(seconds: u64) -> SensorReading {
        SensorReading { input: Some(Duration::from_secs(seconds)), ..SensorReading::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_touch_holds_and_idleness_releases() {
        let (machine, told) = watch::channel(idle_for(10));
        let (_policy, policy) = watch::channel(IdlePolicy::default());
        let owner = owner(told, policy);
        let released = CancellationToken::new();
        let (telling, mut heard) = watch::channel(false);
        let waiting = async {
            let tell = |hold| {
                assert_eq!(hold, HoldDetail::InUse);
                telling.send_replace(true);
            };
            owner.until_run(tell).await;
            released.cancel();
        };
        let away = async {
            heard.wait_for(|heard| *heard).await.unwrap();
            assert!(!released.is_cancelled());
            machine.send_replace(idle_for(300));
        };
        tokio::join!(waiting, away);
        let touch = async { machine.send_replace(idle_for(0)) };
        let (hold, _) = tokio::join!(owner.until_hold(TRAINING), touch);
        assert_eq!(hold, HoldDetail::InUse);
    }

    #[tokio::test(start_paused = true)]
    async fn everything_else_is_read_while_training_too() {
        let (machine, told) = watch::channel(idle_for(3600));
        let (_policy, policy) = watch::channel(IdlePolicy::default());
        let owner = owner(told, policy);
        owner.until_run(|hold| panic!("{hold:?}")).await;
        machine.send_replace(SensorReading { thermal: Some(Thermal::Critical), ..idle_for(3600) });
        assert_eq!(owner.until_hold(TRAINING).await, HoldDetail::TooWarm);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_policy_counts_at_once() {
        let (change, policy) =
            watch::channel(IdlePolicy { when: When::Always, ..IdlePolicy::default() });
        let owner = owner(watch::channel(idle_for(3600)).1, policy);
        let press = async { change.send_modify(|policy| policy.wish = UserOverride::Paused) };
        let (hold, ()) = tokio::join!(owner.until_hold(TRAINING), press);
        assert_eq!(hold, HoldDetail::Paused);
        let press = async { change.send_modify(|policy| policy.wish = UserOverride::None) };
        tokio::join!(owner.until_run(|_| {}), press);
    }

    fn owner(
        told: watch::Receiver<SensorReading>,
        policy: watch::Receiver<IdlePolicy>,
    ) -> IdleMonitor {
        let trainer = TrainerCommand { program: "unused".into(), args: vec![] };
        let settings = WorkerSettings::new("unused".into(), watch::channel(None).1, trainer);
        IdleMonitor::new(&WorkerSettings { policy, sensors: Arc::new(Told(told)), ..settings })
    }
}
