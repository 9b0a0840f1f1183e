//! What a worker says of itself, to the person beside it and, coarser, to the coordinator.

use std::sync::{Mutex, PoisonError};

use protocol::device::{DeviceState, HeartbeatAnswer, HoldReason};
use protocol::fingerprint::Backend;
use protocol::lease::{ReturnReason, UpdateOutcome};
use protocol::{DeviceId, LeaseId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::answer::RequestError;
use crate::policy::{Hold, Kind, PresenceDetail};

/// What the worker does now; a JSON line with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// Looking for the coordinator, or telling it who this is.
    Connecting,
    Registered {
        device: DeviceId,
        name: String,
    },
    /// A join code failed; the device goes on with the enrollment that it has.
    JoinFailed {
        reason: String,
    },
    /// Ready for a lease.
    Waiting,
    /// Ready, but the coordinator gives this device none: its updates were refused. An administrator
    /// can release it.
    Quarantined {
        /// In the coordinator's words.
        reason: String,
    },
    /// Ready, but an administrator has to approve this device's key first: the cluster knows the
    /// machine under another key.
    AwaitingApproval,
    Fetching {
        lease: LeaseId,
        job_name: String,
        round: u32,
        total_rounds: u32,
        partition: u32,
    },
    Training {
        lease: LeaseId,
        job_name: String,
        round: u32,
        total_rounds: u32,
        partition: u32,
        step: u64,
        steps: u64,
        trainer_pid: Option<u32>,
    },
    Uploading {
        lease: LeaseId,
        bytes: u64,
    },
    Reported {
        lease: LeaseId,
        outcome: UpdateOutcome,
        given: Given,
    },
    /// The seat went elsewhere, or the job doesn't want it any more.
    Lost {
        lease: LeaseId,
    },
    /// Given back.
    Returned {
        lease: LeaseId,
        reason: ReturnReason,
    },
    /// The machine may not train; `words` say why and what would help.
    Held {
        reason: HoldReason,
        words: String,
    },
    /// How much memory training may take changed; none where it is what it always is.
    Limited {
        words: Option<String>,
    },
    /// The coordinator can't be reached; the worker goes on trying.
    Offline {
        reason: String,
    },
    /// The coordinator let this device go: what it kept of the company's work is destroyed.
    Wiped {
        /// Of files that were removed.
        bytes: u64,
    },
    Stopped,
}

/// What one finished lease took of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    pub backend: Backend,
    /// Spent in steps.
    pub seconds: f64,
    /// Rows trained on, repeats counted.
    pub examples: u64,
}

/// What a heartbeat tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) state: DeviceState,
    pub(crate) reason: Option<HoldReason>,
    pub(crate) lease: Option<LeaseId>,
}

impl Status {
    /// None where the status changes nothing that the coordinator knows.
    fn activity(&self) -> Option<Activity> {
        let at_work = |lease: &LeaseId| Activity {
            state: DeviceState::Training,
            reason: None,
            lease: Some(*lease),
        };
        match self {
            Self::Connecting
            | Self::JoinFailed { .. }
            | Self::Limited { .. }
            | Self::Offline { .. }
            | Self::Wiped { .. }
            | Self::Stopped => None,
            Self::Fetching { lease, .. }
            | Self::Training { lease, .. }
            | Self::Uploading { lease, .. } => Some(at_work(lease)),
            // A held device names no lease: naming it would renew what it may have to give back.
            Self::Held { reason, .. } => {
                Some(Activity { state: DeviceState::Held, reason: Some(*reason), lease: None })
            }
            Self::Registered { .. }
            | Self::Waiting
            | Self::Quarantined { .. }
            | Self::AwaitingApproval
            | Self::Reported { .. }
            | Self::Lost { .. }
            | Self::Returned { .. } => Some(Activity::waiting()),
        }
    }
}

impl Activity {
    pub(crate) const fn waiting() -> Self {
        Self { state: DeviceState::Waiting, reason: None, lease: None }
    }
}

/// Why the coordinator gives this device no work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// In the coordinator's words.
    Quarantined(String),
    AwaitingApproval,
}

impl Withheld {
    /// None where the device may get work.
    pub(crate) fn from_answer(answer: HeartbeatAnswer) -> Option<Self> {
        if answer.awaiting_approval {
            return Some(Self::AwaitingApproval);
        }
        answer.quarantined.map(|quarantine| Self::Quarantined(quarantine.reason))
    }

    fn status(self) -> Status {
        match self {
            Self::Quarantined(reason) => Status::Quarantined { reason },
            Self::AwaitingApproval => Status::AwaitingApproval,
        }
    }
}

/// Where statuses go: to the observer, and to the heartbeats.
pub(crate) struct Voice<'a> {
    observe: &'a (dyn Fn(&Status) + Send + Sync),
    activity: watch::Sender<Activity>,
    last: Mutex<Option<Status>>,
    /// Why the coordinator gives this device no work, where that is so.
    withheld: Mutex<Option<Withheld>>,
    /// What was said of the memory that training may take.
    limited: Mutex<Option<String>>,
    /// What its owner calls this machine.
    kind: Kind,
    presence: PresenceDetail,
}

impl<'a> Voice<'a> {
    pub(crate) fn new(
        observe: &'a (dyn Fn(&Status) + Send + Sync),
        presence: PresenceDetail,
    ) -> Self {
        Self {
            observe,
            activity: watch::Sender::new(Activity::waiting()),
            last: Mutex::new(None),
            withheld: Mutex::new(None),
            limited: Mutex::new(None),
            kind: Kind::of(platform::device::device_type()),
            presence,
        }
    }

    /// Says it once: a status that is said again is no news.
    pub(crate) fn say(&self, status: &Status) {
        let withheld = self.withheld.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = match (status, withheld) {
            (Status::Waiting, Some(withheld)) => &withheld.status(),
            (status, _) => status,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.replace(status.clone()).as_ref() == Some(status) {
            return;
        }
        drop(last);
        if let Some(activity) = status.activity() {
            let reason = activity.reason.and_then(|reason| self.presence.reason(reason));
            let activity = Activity { reason, ..activity };
            self.activity.send_if_modified(|was| {
                let changed = *was != activity;
                *was = activity;
                changed
            });
        }
        (self.observe)(status);
    }

    /// What a heartbeat was told; who waits says so at once.
    pub(crate) fn withheld(&self, withheld: Option<Withheld>) {
        let mut before = self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == withheld {
            return;
        }
        *before = withheld;
        drop(before);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if matches!(
            last,
            Some(Status::Waiting | Status::Quarantined { .. } | Status::AwaitingApproval)
        ) {
            self.say(&Status::Waiting);
        }
    }

    /// What there is to say of the memory that training may take, where it is something new.
    pub(crate) fn limited(&self, words: Option<String>) {
        let mut said = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == words {
            return;
        }
        said.clone_from(&words);
        drop(said);
        (self.observe)(&Status::Limited { words });
    }

    pub(crate) fn offline(&self, error: &RequestError) {
        self.say(&Status::Offline { reason: error.to_string() });
    }

    pub(crate) fn held(&self, hold: &Hold) {
        self.say(&Status::Held { reason: hold.reason(), words: hold.words(self.kind) });
    }

    /// What the coordinator hears of a lease that is given back because of this.
    pub(crate) const fn return_reason(&self, hold: &Hold) -> ReturnReason {
        self.presence.return_reason(hold)
    }

    pub(crate) fn activity(&self) -> watch::Receiver<Activity> {
        self.activity.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_that_names_its_state() {
        let held = Status::Held { reason: HoldReason::Unknown, words: "x".into() };
        let line = serde_json::to_string(&held).unwrap();
        assert_eq!(line, r#"{"state":"held","reason":"unknown","words":"x"}"#);
        assert_eq!(serde_json::to_string(&Status::Waiting).unwrap(), r#"{"state":"waiting"}"#);
    }

    #[test]
    fn who_waits_in_quarantine_says_so_until_it_is_released() {
        let said = Mutex::new(Vec::new());
        let observe = |status: &Status| said.lock().unwrap().push(status.clone());
        let voice = Voice::new(&observe, PresenceDetail::Reasons);
        let quarantined = Status::Quarantined { reason: "3 updates".into() };
        voice.say(&Status::Waiting);
        let in_quarantine = || Some(Withheld::Quarantined("3 updates".into()));
        voice.withheld(None);
        voice.withheld(in_quarantine());
        voice.withheld(in_quarantine());
        voice.say(&Status::Waiting);
        voice.offline(&RequestError::NoCoordinator);
        voice.say(&Status::Waiting);
        voice.withheld(Some(Withheld::AwaitingApproval));
        voice.withheld(None);
        drop(voice);
        let said = said.into_inner().unwrap();
        let offline = said[2].clone();
        let waiting = Status::Waiting;
        assert_eq!(
            said,
            [
                waiting.clone(),
                quarantined.clone(),
                offline.clone(),
                quarantined,
                Status::AwaitingApproval,
                waiting
            ]
        );
        assert!(matches!(offline, Status::Offline { .. }));
    }

    #[test]
    fn a_held_device_names_no_lease() {
        let observe = |_: &Status| {};
        let voice = Voice::new(&observe, PresenceDetail::Reasons);
        let lease: LeaseId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        voice.say(&Status::Uploading { lease, bytes: 1 });
        assert_eq!(voice.activity().borrow().lease, Some(lease));
        voice.say(&Status::Offline { reason: "x".into() });
        assert_eq!(voice.activity().borrow().lease, Some(lease));
        voice.say(&Status::Held { reason: HoldReason::InUse, words: "x".into() });
        assert_eq!(voice.activity().borrow().lease, None);
    }

    #[test]
    fn the_coordinator_hears_as_much_of_a_hold_as_it_may() {
        for (presence, reason, given_back) in [
            (PresenceDetail::Reasons, Some(HoldReason::InUse), ReturnReason::InUse),
            (PresenceDetail::State, None, ReturnReason::Held),
        ] {
            let said = Mutex::new(Vec::new());
            let observe = |status: &Status| said.lock().unwrap().push(status.clone());
            let voice = Voice::new(&observe, presence);
            voice.held(&Hold::Call);
            let activity = voice.activity().borrow().clone();
            assert_eq!(activity, Activity { state: DeviceState::Held, reason, lease: None });
            assert_eq!(voice.return_reason(&Hold::Call), given_back);
            drop(voice);
            // Whoever is in front of the machine reads the whole.
            let words = "Waiting: a call is on".to_owned();
            let held = Status::Held { reason: HoldReason::InUse, words };
            assert_eq!(said.into_inner().unwrap(), [held]);
        }
    }
}
