//! Status of a worker for the local user, and its coarser form for the coordinator.

use std::sync::{Mutex, PoisonError};

use protocol::device::{DeviceState, HeartbeatAnswer, HoldReason};
use protocol::fingerprint::Backend;
use protocol::lease::{ReturnReason, UpdateOutcome};
use protocol::{DeviceId, LeaseId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::policy::{HoldDetail, Kind, PresenceDetail};
use crate::response::RequestError;

/// Current activity of the worker; a JSON line with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// Connecting to the coordinator or registering with it.
    Connecting,
    Registered {
        device: DeviceId,
        name: String,
    },
    /// A join code failed. The device keeps its enrollment.
    JoinFailed {
        reason: String,
    },
    /// Ready for a lease.
    Waiting,
    /// Ready, but quarantined: its updates were rejected or an administrator put it there. An administrator
    /// can release it.
    Quarantined {
        /// The coordinator's message.
        reason: String,
    },
    /// Ready, but an administrator must approve this device's key first: the cluster knows the
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
        given: LeaseContribution,
    },
    /// The seat was assigned to another device, or the job no longer needs it.
    Lost {
        lease: LeaseId,
    },
    /// The lease was returned.
    Returned {
        lease: LeaseId,
        reason: ReturnReason,
    },
    /// The machine may not train. `words` contains the reason and a possible fix.
    Held {
        reason: HoldReason,
        words: String,
    },
    /// The memory limit for training changed. `None` means the usual limit.
    Limited {
        words: Option<String>,
    },
    /// The coordinator can't be reached. The worker keeps trying.
    Offline {
        reason: String,
    },
    /// The coordinator removed this device. The company's data on it is destroyed.
    Wiped {
        /// Size of the removed files in bytes.
        bytes: u64,
    },
    Stopped,
}

/// Resource usage of one finished lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaseContribution {
    pub backend: Backend,
    /// Time spent in training steps.
    pub seconds: f64,
    /// Rows trained on, including repeats.
    pub examples: u64,
}

/// Contents of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) state: DeviceState,
    pub(crate) reason: Option<HoldReason>,
    pub(crate) lease: Option<LeaseId>,
}

impl Status {
    /// Returns the activity for the coordinator. `None` if the status does not change it.
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
            // A held device names no lease: naming it would renew a lease that it may have to return.
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

/// Reason why the coordinator assigns this device no work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// The coordinator's message.
    Quarantined(String),
    AwaitingApproval,
}

impl Suspension {
    /// Returns `None` if the device may get work.
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

/// Sends statuses to the observer and to the heartbeats.
pub(crate) struct StatusReporter<'a> {
    observe: &'a (dyn Fn(&Status) + Send + Sync),
    activity: watch::Sender<Activity>,
    /// Last status, and the one that was reported for it.
    last: Mutex<Option<(Status, Status)>>,
    /// Reason why the coordinator currently assigns this device no work.
    suspension: Mutex<Option<Suspension>>,
    /// Last reported memory limit.
    limited: Mutex<Option<String>>,
    /// Kind of this machine.
    kind: Kind,
    presence: PresenceDetail,
}

impl<'a> StatusReporter<'a> {
    pub(crate) fn new(
        observe: &'a (dyn Fn(&Status) + Send + Sync),
        presence: PresenceDetail,
    ) -> Self {
        Self {
            observe,
            activity: watch::Sender::new(Activity::waiting()),
            last: Mutex::new(None),
            suspension: Mutex::new(None),
            limited: Mutex::new(None),
            kind: Kind::from_device_type(platform::device::device_type()),
            presence,
        }
    }

    /// Reports a status. Repeated equal statuses are skipped.
    pub(crate) fn report(&self, status: &Status) {
        let suspension = self.suspension.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Being held back passes by itself, unlike these.
        let shown = match (status, suspension) {
            (Status::Waiting | Status::Held { .. }, Some(suspension)) => suspension.status(),
            (status, _) => status.clone(),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace((status.clone(), shown.clone()));
        drop(last);
        if before.as_ref().is_some_and(|(was, was_shown)| was == status && *was_shown == shown) {
            return;
        }
        if let Some(activity) = status.activity() {
            let reason = activity.reason.and_then(|reason| self.presence.reason(reason));
            let activity = Activity { reason, ..activity };
            self.activity.send_if_modified(|was| {
                let changed = *was != activity;
                *was = activity;
                changed
            });
        }
        if before.is_none_or(|(_, was_shown)| was_shown != shown) {
            (self.observe)(&shown);
        }
    }

    /// Records the result of a heartbeat. A worker that waits or is held back reports it immediately.
    pub(crate) fn set_suspension(&self, suspension: Option<Suspension>) {
        let mut before = self.suspension.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == suspension {
            return;
        }
        *before = suspension;
        drop(before);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((status @ (Status::Waiting | Status::Held { .. }), _)) = last {
            self.report(&status);
        }
    }

    /// Reports a memory limit if it changed.
    pub(crate) fn report_memory_limit(&self, words: Option<String>) {
        let mut said = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == words {
            return;
        }
        said.clone_from(&words);
        drop(said);
        (self.observe)(&Status::Limited { words });
    }

    pub(crate) fn offline(&self, error: &RequestError) {
        self.report(&Status::Offline { reason: error.to_string() });
    }

    pub(crate) fn held(&self, hold: &HoldDetail) {
        self.report(&Status::Held { reason: hold.reason(), words: hold.message(self.kind) });
    }

    /// Returns the reason to send for a lease that is returned because of this hold.
    pub(crate) const fn return_reason(&self, hold: &HoldDetail) -> ReturnReason {
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
        let reporter = StatusReporter::new(&observe, PresenceDetail::Reasons);
        let quarantined = Status::Quarantined { reason: "3 updates".into() };
        reporter.report(&Status::Waiting);
        let in_quarantine = || Some(Suspension::Quarantined("3 updates".into()));
        reporter.set_suspension(None);
        reporter.set_suspension(in_quarantine());
        reporter.set_suspension(in_quarantine());
        reporter.report(&Status::Waiting);
        reporter.offline(&RequestError::NoCoordinator);
        reporter.report(&Status::Waiting);
        reporter.set_suspension(Some(Suspension::AwaitingApproval));
        reporter.set_suspension(None);
        drop(reporter);
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
    fn a_quarantined_device_says_so_while_it_is_held_back() {
        let said = Mutex::new(Vec::new());
        let observe = |status: &Status| said.lock().unwrap().push(status.clone());
        let reporter = StatusReporter::new(&observe, PresenceDetail::Reasons);
        let held = Status::Held { reason: HoldReason::InUse, words: "in use".into() };
        reporter.report(&held);
        reporter.set_suspension(Some(Suspension::Quarantined("3 updates".into())));
        reporter.report(&Status::Waiting);
        reporter.report(&held);
        // The coordinator still hears of the hold.
        assert_eq!(reporter.activity().borrow().state, DeviceState::Held);
        reporter.set_suspension(None);
        drop(reporter);
        let quarantined = Status::Quarantined { reason: "3 updates".into() };
        assert_eq!(said.into_inner().unwrap(), [held.clone(), quarantined, held]);
    }

    #[test]
    fn a_held_device_names_no_lease() {
        let observe = |_: &Status| {};
        let reporter = StatusReporter::new(&observe, PresenceDetail::Reasons);
        let lease: LeaseId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        reporter.report(&Status::Uploading { lease, bytes: 1 });
        assert_eq!(reporter.activity().borrow().lease, Some(lease));
        reporter.report(&Status::Offline { reason: "x".into() });
        assert_eq!(reporter.activity().borrow().lease, Some(lease));
        reporter.report(&Status::Held { reason: HoldReason::InUse, words: "x".into() });
        assert_eq!(reporter.activity().borrow().lease, None);
    }

    #[test]
    fn the_coordinator_hears_as_much_of_a_hold_as_it_may() {
        for (presence, reason, given_back) in [
            (PresenceDetail::Reasons, Some(HoldReason::InUse), ReturnReason::InUse),
            (PresenceDetail::State, None, ReturnReason::Held),
        ] {
            let said = Mutex::new(Vec::new());
            let observe = |status: &Status| said.lock().unwrap().push(status.clone());
            let reporter = StatusReporter::new(&observe, presence);
            reporter.held(&HoldDetail::Call);
            let activity = reporter.activity().borrow().clone();
            assert_eq!(activity, Activity { state: DeviceState::Held, reason, lease: None });
            assert_eq!(reporter.return_reason(&HoldDetail::Call), given_back);
            drop(reporter);
            // The local user sees the full reason.
            let words = "Waiting: a call is on".to_owned();
            let held = Status::Held { reason: HoldReason::InUse, words };
            assert_eq!(said.into_inner().unwrap(), [held]);
        }
    }
}
