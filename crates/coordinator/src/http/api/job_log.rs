//! Log of a job, built from the audit log, the rounds, the lease records and the notices.

use protocol::Timestamp;
use protocol::api::{JobStatus, LogEntry, Round};
use protocol::audit::{Action, Entry};
use protocol::lease::{LeaseOutcome, LeaseRecord};
use protocol::notice::{Notice, NoticeKind};

use crate::views::JobView;

/// Records about a job.
pub(crate) struct Known<'a> {
    pub(crate) view: &'a JobView,
    /// Audit log entries about the job.
    pub(crate) entries: &'a [Entry],
    pub(crate) leases: &'a [LeaseRecord],
    /// Notices of all jobs.
    pub(crate) notices: &'a [Notice],
}

/// Returns the log, oldest entry first.
pub(crate) fn log(known: &Known<'_>) -> Vec<LogEntry> {
    let mut log: Vec<LogEntry> = known.leases.iter().filter_map(lost).collect();
    log.extend(known.entries.iter().filter_map(by_somebody));
    log.extend(known.view.rounds().filter_map(closed));
    let id = known.view.job.id.to_string();
    let own = known.notices.iter().filter(|notice| notice.subject.as_ref() == Some(&id));
    log.extend(own.flat_map(stalled));
    log.extend(end(known.view));
    // The sort is stable: entries of the same time stay in the order above.
    log.sort_by_key(|entry| entry.at);
    log
}

fn log_entry(at: Timestamp, kind: &str, text: String) -> LogEntry {
    LogEntry { at, kind: kind.to_owned(), text }
}

fn by_somebody(entry: &Entry) -> Option<LogEntry> {
    let record = &entry.record;
    let did = match record.action {
        Action::Created => "created",
        Action::Started => "started",
        Action::Paused => "paused",
        Action::Resumed => "resumed",
        Action::Cancelled => "cancelled",
        Action::Completed => "completed",
        Action::Added
        | Action::Removed
        | Action::Enrolled
        | Action::Rekeyed
        | Action::Approved
        | Action::Revoked
        | Action::Reinstated
        | Action::Left
        | Action::Quarantined
        | Action::Released
        | Action::Refused
        | Action::Changed
        | Action::Archived
        | Action::Unarchived
        | Action::Renamed
        | Action::Written
        | Action::Restored => return None,
    };
    Some(log_entry(record.at, did, format!("{did} by {}", record.who)))
}

fn closed(round: &Round) -> Option<LogEntry> {
    let at = round.closed_at?;
    let accuracy = round.evaluation.as_ref().map_or_else(String::new, |evaluation| {
        format!(", test accuracy {:.2} %", evaluation.accuracy * 100.0)
    });
    let Round { round, reported, seats, .. } = round;
    let text = format!("round {round} closed with {reported} of {seats} updates{accuracy}");
    Some(log_entry(at, "round_closed", text))
}

/// Returns the entry of a lease that ended without an update, unless a person ended it.
fn lost(lease: &LeaseRecord) -> Option<LogEntry> {
    let did = match lease.outcome {
        LeaseOutcome::Open | LeaseOutcome::Reported | LeaseOutcome::Ended => return None,
        LeaseOutcome::Returned => "gave back",
        LeaseOutcome::Lapsed => "lost",
        LeaseOutcome::Refused => "sent an invalid update for",
    };
    let LeaseRecord { device_name, partition, round, steps, .. } = lease;
    let reason = lease.reason.as_deref().unwrap_or("no reason was given");
    let text = format!(
        "{device_name} {did} partition {partition} of round {round} after {steps} steps: {reason}"
    );
    Some(log_entry(lease.ended_at?, "lease_lost", text))
}

fn stalled(notice: &Notice) -> Vec<LogEntry> {
    if notice.kind != NoticeKind::JobStalled {
        return Vec::new();
    }
    let mut log = vec![log_entry(notice.created_at, "stalled", notice.text.clone())];
    log.extend(
        notice.ended_at.map(|at| log_entry(at, "moving", "the job progresses again".to_owned())),
    );
    log
}

fn end(view: &JobView) -> Option<LogEntry> {
    let job = &view.job;
    let because = job.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let text = match job.status {
        JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => {
            format!("{}{because}", job.status.name())
        }
        JobStatus::Pending | JobStatus::Preparing | JobStatus::Running | JobStatus::Paused => {
            return None;
        }
    };
    Some(log_entry(job.completed_at?, "ended", text))
}
