//! The machine's owner: asks the sensors and the policy, as often as it matters now.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use platform::IdleSource;
use protocol::Timestamp;
use tokio::sync::watch;

use crate::Settings;
use crate::policy::{Decision, Hold, IdlePolicy, Presence, Reading, When, decide};

/// Between two readings while training: a touch is seen within it.
pub(crate) const TRAINING: Duration = Duration::from_millis(50);
/// While only waiting for work.
pub(crate) const WAITING: Duration = Duration::from_secs(2);

pub(crate) struct Owner {
    when: When,
    idle: Duration,
    paused_until: watch::Receiver<Option<Timestamp>>,
    source: Arc<dyn IdleSource>,
}

impl Owner {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            when: settings.when,
            idle: Duration::from_secs(settings.idle_seconds),
            paused_until: settings.paused_until.clone(),
            source: Arc::clone(&settings.idle),
        }
    }

    /// Ends when the machine must not train any more; looks every so often.
    pub(crate) async fn until_hold(&self, every: Duration) -> Hold {
        loop {
            if let Decision::Hold(hold) = self.decide(Presence::Running) {
                return hold;
            }
            match self.when {
                When::Idle => self.pause(Some(every)).await,
                When::Always => self.pause(None).await,
            }
        }
    }

    /// Ends when the machine may train; `held` hears why it may not yet.
    pub(crate) async fn until_run(&self, mut held: impl FnMut(Hold)) {
        while let Decision::Hold(hold) = self.decide(Presence::Held) {
            held(hold);
            self.pause(Some(WAITING)).await;
        }
    }

    fn decide(&self, was: Presence) -> Decision {
        let policy = IdlePolicy {
            when: self.when,
            idle: self.idle,
            paused_until: *self.paused_until.borrow(),
        };
        let idle = match self.when {
            When::Always => None,
            When::Idle => self.source.idle().unwrap_or_else(|error| {
                tracing::warn!(%error, "can't read the idle time");
                None
            }),
        };
        decide(&policy, was, &Reading { idle }, now())
    }

    /// Until the next look, or until somebody pauses or goes on.
    async fn pause(&self, wait: Option<Duration>) {
        let mut paused_until = self.paused_until.clone();
        paused_until.mark_unchanged();
        let changed = async {
            if paused_until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match wait {
            // Either way it is time to look.
            Some(wait) => drop(tokio::time::timeout(wait, changed).await),
            None => changed.await,
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

#[cfg(test)]
mod tests {
    use platform::IdleError;
    use tokio_util::sync::CancellationToken;
    use trainer::TrainerCommand;

    use super::*;

    /// Input came this long ago, as a test sets it.
    struct Since(watch::Receiver<Duration>);

    impl IdleSource for Since {
        fn idle(&self) -> Result<Option<Duration>, IdleError> {
            Ok(Some(*self.0.borrow()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_touch_holds_and_idleness_releases() {
        let (input, since) = watch::channel(Duration::from_secs(10));
        let settings = settings(since, watch::channel(None).1);
        let owner = Owner::new(&settings);
        let released = CancellationToken::new();
        let waiting = async {
            owner.until_run(|hold| assert_eq!(hold, Hold::InUse)).await;
            released.cancel();
        };
        let away = async {
            assert!(!released.is_cancelled());
            input.send_replace(Duration::from_mins(5));
        };
        tokio::join!(waiting, away);
        let touch = async { input.send_replace(Duration::ZERO) };
        let (hold, _) = tokio::join!(owner.until_hold(TRAINING), touch);
        assert_eq!(hold, Hold::InUse);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_at_once() {
        let (pause, paused_until) = watch::channel(None);
        let idle_for_an_hour = watch::channel(Duration::from_hours(1)).1;
        let mut settings = settings(idle_for_an_hour, paused_until);
        settings.when = When::Always;
        let owner = Owner::new(&settings);
        let in_an_hour = now().after(Duration::from_hours(1));
        let press = async { pause.send_replace(Some(in_an_hour)) };
        let (hold, _) = tokio::join!(owner.until_hold(TRAINING), press);
        assert_eq!(hold, Hold::Paused);
        let press = async { pause.send_replace(None) };
        tokio::join!(owner.until_run(|_| {}), press);
    }

    fn settings(
        since: watch::Receiver<Duration>,
        paused_until: watch::Receiver<Option<Timestamp>>,
    ) -> Settings {
        let trainer = TrainerCommand { program: "unused".into(), args: vec![] };
        let idle = Arc::new(Since(since));
        let settings = Settings::new("unused".into(), watch::channel(None).1, trainer);
        Settings { paused_until, idle, ..settings }
    }
}
