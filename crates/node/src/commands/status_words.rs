//! What a worker says of itself, in words for a person.

use protocol::lease::{ReturnReason, UpdateOutcome};
use worker::Status;

/// A few words; steps are left out, so that a whole lease reads the same.
pub(super) fn of(status: &Status) -> String {
    match status {
        Status::Connecting => "connecting".into(),
        Status::Registered { device, name } => format!("registered as {name} ({device})"),
        Status::JoinFailed { reason } => {
            format!("the join code failed, and this device stays in its cluster: {reason}")
        }
        Status::Waiting => "waiting for work".into(),
        Status::Quarantined { reason } => {
            format!("in quarantine, until an administrator releases this device: {reason}")
        }
        Status::AwaitingApproval => {
            "waiting for an administrator to approve this Mac: the cluster knows it under another key"
                .into()
        }
        Status::Fetching { round, partition, .. } => {
            format!("fetching round {round} partition {partition}")
        }
        Status::Training { round, partition, .. } => {
            format!("training round {round} partition {partition}")
        }
        Status::Uploading { bytes, .. } => {
            format!("sending its update, {:.1} MB", *bytes as f64 / 1e6)
        }
        Status::Reported { outcome, .. } => match outcome {
            UpdateOutcome::Accepted => "update accepted".into(),
            UpdateOutcome::Duplicate => "update accepted before".into(),
            UpdateOutcome::Superseded => "update not needed any more".into(),
        },
        Status::Lost { .. } => "its lease went elsewhere".into(),
        Status::Returned { reason, .. } => format!("gave its lease back: {}", returned(*reason)),
        Status::Held { words, .. } => words.clone(),
        Status::Limited { words: Some(words) } => words.clone(),
        Status::Limited { words: None } => "training may take its usual memory again".into(),
        Status::Offline { reason } => format!("offline: {reason}"),
        Status::Wiped { bytes, .. } => format!(
            "this device was let go: its key is destroyed and {:.1} MB of work are removed",
            *bytes as f64 / 1e6
        ),
        Status::Stopped => "stopped".into(),
    }
}

/// As [`of`], with how far training is.
pub(super) fn with_steps(status: &Status) -> String {
    match status {
        Status::Training { step, steps, .. } => format!("{}  step {step}/{steps}", of(status)),
        Status::Connecting
        | Status::Registered { .. }
        | Status::JoinFailed { .. }
        | Status::Waiting
        | Status::Quarantined { .. }
        | Status::AwaitingApproval
        | Status::Fetching { .. }
        | Status::Uploading { .. }
        | Status::Reported { .. }
        | Status::Lost { .. }
        | Status::Returned { .. }
        | Status::Held { .. }
        | Status::Limited { .. }
        | Status::Offline { .. }
        | Status::Wiped { .. }
        | Status::Stopped => of(status),
    }
}

const fn returned(reason: ReturnReason) -> &'static str {
    match reason {
        ReturnReason::InUse => "the machine is in use",
        ReturnReason::OnBattery => "on battery",
        ReturnReason::TooWarm => "too warm",
        ReturnReason::Scheduled => "scheduled",
        ReturnReason::Paused => "paused",
        ReturnReason::Held => "held back",
        ReturnReason::ShuttingDown => "shutting down",
        ReturnReason::Memory => "it needs too much memory",
        ReturnReason::Disk => "it needs more disk space than it may take",
        ReturnReason::Failed => "its trainer failed",
    }
}
