//! Texts for the status of a worker.

use protocol::lease::{ReturnReason, UpdateOutcome};
use worker::Status;

/// Describes a status without the step count, so that the text stays the same for a whole lease.
pub(super) fn status_text(status: &Status) -> String {
    match status {
        Status::Connecting => "connecting".into(),
        Status::Registered { device, name } => format!("registered as {name} ({device})"),
        Status::JoinFailed { reason } => {
            format!("the join code failed, and this device stays in its cluster: {reason}")
        }
        Status::Waiting => "waiting for work".into(),
        Status::Quarantined { reason } => {
            format!(
                "quarantined, so it gets no work: {reason}; an administrator can release it on its page in the \
                 dashboard, or with `constellation device release`"
            )
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
            format!("uploading its update, {:.1} MB", *bytes as f64 / 1e6)
        }
        Status::Reported { outcome, .. } => match outcome {
            UpdateOutcome::Accepted => "update accepted".into(),
            UpdateOutcome::Duplicate => "update already accepted".into(),
            UpdateOutcome::Superseded => "update no longer needed".into(),
        },
        Status::Lost { .. } => "lease expired or was reassigned".into(),
        Status::Returned { reason, .. } => format!("returned its lease: {}", returned(*reason)),
        Status::Held { words, .. } => words.clone(),
        Status::Limited { words: Some(words) } => words.clone(),
        Status::Limited { words: None } => "the memory limit for training is back to normal".into(),
        Status::Offline { reason } => format!("offline: {reason}"),
        Status::Wiped { bytes, .. } => format!(
            "this device was revoked: deleted its encryption key and {:.1} MB of data",
            *bytes as f64 / 1e6
        ),
        Status::Stopped => "stopped".into(),
    }
}

/// Like [`of`], with the step count.
pub(super) fn with_steps(status: &Status) -> String {
    match status {
        Status::Training { step, steps, .. } => {
            format!("{}  step {step}/{steps}", status_text(status))
        }
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
        | Status::Stopped => status_text(status),
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
        ReturnReason::Memory => "not enough memory",
        ReturnReason::Disk => "not enough disk space",
        ReturnReason::Failed => "the trainer failed",
    }
}
