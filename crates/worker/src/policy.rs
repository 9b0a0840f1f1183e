//! When a machine may train. Pure: readings and the time are arguments (DESIGN §8).

use std::time::Duration;

use protocol::Timestamp;
use protocol::device::HoldReason;
use protocol::lease::ReturnReason;

/// Which of its hours a machine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Those in which nobody uses it.
    #[default]
    Idle,
    /// All of them: for servers and for machines that do nothing else.
    Always,
}

/// What is allowed, as the owner and the organization set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdlePolicy {
    pub when: When,
    /// Without input for so long the machine counts as idle.
    pub idle: Duration,
    pub paused_until: Option<Timestamp>,
}

/// What the sensors say now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Time since the last input; none where this machine can't tell.
    pub idle: Option<Duration>,
}

/// Whether the machine was training when it was last decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Running,
    Held,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Run,
    Hold(Hold),
}

/// Why a machine doesn't train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    InUse,
    Paused,
    Unknown,
}

impl Hold {
    /// The reason as it leaves the machine.
    pub const fn reason(self) -> HoldReason {
        match self {
            Self::InUse => HoldReason::InUse,
            Self::Paused => HoldReason::Paused,
            Self::Unknown => HoldReason::Unknown,
        }
    }

    /// The reason that goes with a lease given back.
    pub const fn return_reason(self) -> ReturnReason {
        match self {
            Self::InUse => ReturnReason::InUse,
            // The owner's machine stopped telling; to the coordinator that is a pause.
            Self::Paused | Self::Unknown => ReturnReason::Paused,
        }
    }

    /// The reason in words for the machine's owner.
    pub const fn words(self) -> &'static str {
        match self {
            Self::InUse => "waiting until nobody uses this machine",
            Self::Paused => "paused",
            Self::Unknown => {
                "this machine can't tell whether somebody uses it, so it doesn't train; start the \
                 worker with `--when always` to train anyway"
            }
        }
    }
}

/// Readings come a little late and a little unevenly: a machine that trains isn't stopped by that.
const LARGEST_SLACK: Duration = Duration::from_secs(5);

/// Whether to train now.
pub fn decide(policy: &IdlePolicy, was: Presence, reading: &Reading, now: Timestamp) -> Decision {
    if policy.paused_until.is_some_and(|until| now < until) {
        return Decision::Hold(Hold::Paused);
    }
    match (policy.when, reading.idle) {
        (When::Always, _) => Decision::Run,
        (When::Idle, None) => Decision::Hold(Hold::Unknown),
        (When::Idle, Some(idle)) if idle >= enough(policy, was) => Decision::Run,
        (When::Idle, Some(_)) => Decision::Hold(Hold::InUse),
    }
}

/// How long a machine that yields keeps its lease, of which `left` is left (DESIGN §11.5).
pub fn keep_for(left: Duration) -> Duration {
    (left / 2).min(Duration::from_mins(1))
}

fn enough(policy: &IdlePolicy, was: Presence) -> Duration {
    match was {
        Presence::Held => policy.idle,
        Presence::Running => policy.idle.saturating_sub((policy.idle / 10).min(LARGEST_SLACK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn the_table() {
        use Decision::{Hold as Held, Run};
        use Presence::{Held as WasHeld, Running as WasRunning};
        let later = Some(NOON.after(Duration::from_secs(1)));
        let table = [
            // when, paused until, was, idle seconds -> decision
            (When::Always, None, WasHeld, None, Run),
            (When::Always, None, WasRunning, Some(0.0), Run),
            (When::Always, later, WasRunning, Some(1e6), Held(Hold::Paused)),
            (When::Always, Some(NOON), WasHeld, None, Run),
            (When::Idle, None, WasHeld, None, Held(Hold::Unknown)),
            (When::Idle, None, WasRunning, None, Held(Hold::Unknown)),
            (When::Idle, later, WasRunning, None, Held(Hold::Paused)),
            (When::Idle, None, WasHeld, Some(0.0), Held(Hold::InUse)),
            (When::Idle, None, WasHeld, Some(299.9), Held(Hold::InUse)),
            (When::Idle, None, WasHeld, Some(300.0), Run),
            (When::Idle, None, WasRunning, Some(299.9), Run),
            (When::Idle, None, WasRunning, Some(295.0), Run),
            (When::Idle, None, WasRunning, Some(294.9), Held(Hold::InUse)),
            (When::Idle, None, WasRunning, Some(0.05), Held(Hold::InUse)),
        ];
        for (when, paused_until, was, idle, expected) in table {
            let policy = IdlePolicy { when, idle: Duration::from_mins(5), paused_until };
            let reading = Reading { idle: idle.map(Duration::from_secs_f64) };
            let decision = decide(&policy, was, &reading, NOON);
            assert_eq!(decision, expected, "{when:?} {paused_until:?} {was:?} {idle:?}");
        }
    }

    #[test]
    fn a_short_threshold_has_a_short_slack() {
        let policy =
            IdlePolicy { when: When::Idle, idle: Duration::from_secs(1), paused_until: None };
        let touched = Reading { idle: Some(Duration::from_millis(50)) };
        let decision = decide(&policy, Presence::Running, &touched, NOON);
        assert_eq!(decision, Decision::Hold(Hold::InUse));
    }

    #[test]
    fn a_lease_is_kept_for_a_minute_or_half_of_what_is_left() {
        assert_eq!(keep_for(Duration::from_mins(10)), Duration::from_mins(1));
        assert_eq!(keep_for(Duration::from_secs(30)), Duration::from_secs(15));
        assert_eq!(keep_for(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn an_unknown_reading_says_what_to_do() {
        assert!(Hold::Unknown.words().contains("--when always"));
    }
}
