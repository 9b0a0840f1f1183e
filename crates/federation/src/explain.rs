//! Explanation of a job's status: plain sentences from the open round, the state of every device
//! and the other jobs that they work for.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::device::{DeviceState, HoldReason};
use protocol::fingerprint::Fingerprint;
use protocol::{DeviceId, Timestamp};

use crate::machine::{JobSnapshot, RoundSnapshot, duration_text};

/// Shortest time without progress that is worth a sentence.
const MINIMUM_IDLE_TIME: Duration = Duration::from_mins(1);

/// State of a device that is not revoked.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSnapshot {
    pub device: DeviceId,
    pub state: DeviceState,
    /// Whether it is offline because its worker stopped in an orderly way.
    pub stopped: bool,
    pub reason: Option<HoldReason>,
    pub fingerprint: Fingerprint,
    pub quarantined: bool,
    /// Whether the device has one of the job's labels. True if the job requires none.
    pub labeled: bool,
    /// Other job of which the device holds a lease.
    pub other_job: Option<OtherJob>,
}

/// Job that a device works for instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherJob {
    pub name: String,
    /// Whether its priority is higher than this job's.
    pub ahead: bool,
}

/// Returns the sentences, most important first. The first is the job's own reason. `labels` are the
/// labels that the job requires. Empty = any device.
pub fn explain(
    reason: Option<&str>,
    snapshot: &JobSnapshot,
    labels: &[String],
    devices: &[DeviceSnapshot],
    now: Timestamp,
) -> Vec<String> {
    let round = match snapshot {
        JobSnapshot::NotCollecting => return reason.map(str::to_owned).into_iter().collect(),
        JobSnapshot::Collecting(round) => round,
    };
    let mut sentences = vec![seats(round)];
    if round.paused {
        sentences.push("the job is paused; resume it to continue".to_owned());
    } else if round.reported < round.seats {
        sentences.extend(device_summary(round, devices));
        sentences.extend(all_quarantined(devices));
        sentences.extend(missing_labels(labels, devices));
        sentences.extend(missing_fingerprint(round, devices));
        sentences.extend(deadline(round, now));
    }
    if let Some((partition, times, detail)) = &round.failure {
        let times = plural(*times, "time");
        sentences.push(format!("partition {partition} failed {times}; last error: {detail}"));
    }
    let idle = now.since(round.moved_at);
    if !round.paused && idle >= MINIMUM_IDLE_TIME {
        sentences.push(format!("last progress {} ago", duration_text(idle)));
    }
    sentences
}

fn seats(round: &RoundSnapshot) -> String {
    let training = match round.training.len() {
        0 => String::new(),
        count => format!(", {count} training"),
    };
    format!("{} of {} seats reported{training}", round.reported, round.seats)
}

fn deadline(round: &RoundSnapshot, now: Timestamp) -> Option<String> {
    let at = round.closes_at?;
    let minimum = round.minimum;
    Some(if round.overdue {
        let ago = duration_text(now.since(at));
        format!(
            "the deadline passed {ago} ago; the round closes when {minimum} seats have reported"
        )
    } else {
        let left = duration_text(at.since(now));
        format!("the round closes in {left} if at least {minimum} seats have reported by then")
    })
}

/// Reason for which a device does not train for the job, in the order of the summary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum IdleReason {
    AboutToAsk,
    Free,
    OtherJob(OtherJob),
    HeldReason(HeldReason),
    OtherLabels,
    WrongFingerprint,
    ShortOfMemory,
    ShortOfDisk,
    FailedAll,
    Quarantined,
    Stopped,
    Offline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HeldReason {
    InUse,
    OnBattery,
    TooWarm,
    Scheduled,
    Paused,
    Unreadable,
    Unspecified,
}

/// Returns a summary of the devices that do not train for the job.
fn device_summary(round: &RoundSnapshot, devices: &[DeviceSnapshot]) -> Option<String> {
    if devices.is_empty() {
        return Some(
            "no device is enrolled; create a join code with `constellation join-code create` and \
             enroll a Mac with it"
                .to_owned(),
        );
    }
    let mut counts: BTreeMap<IdleReason, usize> = BTreeMap::new();
    for device in devices.iter().filter(|device| !round.training.contains(&device.device)) {
        *counts.entry(idle_reason(round, device)).or_default() += 1;
    }
    if counts.is_empty() {
        return (round.open > 0).then(|| "every device is working on this job".to_owned());
    }
    let counts = counts.into_iter().map(|(reason, count)| format!("{count} {}", to_text(&reason)));
    let subject = if round.training.is_empty() { "devices" } else { "other devices" };
    Some(format!("{subject}: {}", counts.collect::<Vec<_>>().join(", ")))
}

fn idle_reason(round: &RoundSnapshot, device: &DeviceSnapshot) -> IdleReason {
    if device.quarantined {
        return IdleReason::Quarantined;
    }
    match device.state {
        DeviceState::Offline if device.stopped => return IdleReason::Stopped,
        DeviceState::Offline => return IdleReason::Offline,
        DeviceState::Held => return IdleReason::HeldReason(held(device.reason)),
        DeviceState::Waiting | DeviceState::Training => {}
    }
    if let Some(other) = &device.other_job {
        return IdleReason::OtherJob(other.clone());
    }
    if !device.labeled {
        return IdleReason::OtherLabels;
    }
    if round.fingerprint.as_ref().is_some_and(|bound| *bound != device.fingerprint) {
        return IdleReason::WrongFingerprint;
    }
    if round.short_of_memory.contains(&device.device) {
        return IdleReason::ShortOfMemory;
    }
    if round.short_of_disk.contains(&device.device) {
        return IdleReason::ShortOfDisk;
    }
    if round.failed_all.contains(&device.device) {
        return IdleReason::FailedAll;
    }
    // A waiting device asks about once a second, and gets an open seat at once.
    if round.open > 0 { IdleReason::AboutToAsk } else { IdleReason::Free }
}

const fn held(reason: Option<HoldReason>) -> HeldReason {
    match reason {
        Some(HoldReason::InUse) => HeldReason::InUse,
        Some(HoldReason::OnBattery) => HeldReason::OnBattery,
        Some(HoldReason::TooWarm) => HeldReason::TooWarm,
        Some(HoldReason::Scheduled) => HeldReason::Scheduled,
        Some(HoldReason::Paused) => HeldReason::Paused,
        Some(HoldReason::Unknown) => HeldReason::Unreadable,
        None => HeldReason::Unspecified,
    }
}

fn to_text(reason: &IdleReason) -> String {
    let text = match reason {
        IdleReason::AboutToAsk => "about to ask for work",
        IdleReason::Free => "available",
        IdleReason::OtherJob(OtherJob { name, ahead }) => {
            let priority = if *ahead { " (higher priority)" } else { "" };
            return format!("working on '{name}'{priority}");
        }
        IdleReason::HeldReason(HeldReason::InUse) => "in use",
        IdleReason::HeldReason(HeldReason::OnBattery) => "on battery",
        IdleReason::HeldReason(HeldReason::TooWarm) => "too warm",
        IdleReason::HeldReason(HeldReason::Scheduled) => "outside the schedule",
        IdleReason::HeldReason(HeldReason::Paused) => "paused by the owner",
        IdleReason::HeldReason(HeldReason::Unreadable) => "unable to detect use of the machine",
        IdleReason::HeldReason(HeldReason::Unspecified) => "held back",
        IdleReason::OtherLabels => "without a required label",
        IdleReason::WrongFingerprint => "with a different numeric fingerprint",
        IdleReason::ShortOfMemory => "with too little memory for this job",
        IdleReason::ShortOfDisk => "with too little disk space for this job",
        IdleReason::FailedAll => "that failed every open seat",
        IdleReason::Quarantined => "quarantined",
        IdleReason::Stopped => "stopped",
        IdleReason::Offline => "offline",
    };
    text.to_owned()
}

/// Returns a count with its noun in the singular or plural.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Returns a sentence if every device is quarantined.
fn all_quarantined(devices: &[DeviceSnapshot]) -> Option<String> {
    let all = !devices.is_empty() && devices.iter().all(|device| device.quarantined);
    all.then(|| {
        "no device may work: release one with `constellation device release ID`, or on its page"
            .to_owned()
    })
}

/// Returns a sentence if no device has a label that the job requires.
fn missing_labels(labels: &[String], devices: &[DeviceSnapshot]) -> Option<String> {
    if labels.is_empty() || devices.is_empty() || devices.iter().any(|device| device.labeled) {
        return None;
    }
    let labels = labels.join("' or '");
    Some(format!(
        "the job requires the label '{labels}', but no device has it; label a device, or create the \
         job without `run.labels`"
    ))
}

/// Returns a sentence if only devices with other numeric fingerprints are available.
fn missing_fingerprint(round: &RoundSnapshot, devices: &[DeviceSnapshot]) -> Option<String> {
    let required = round.fingerprint.as_ref()?;
    let mismatched =
        |device: &DeviceSnapshot| idle_reason(round, device) == IdleReason::WrongFingerprint;
    let available = |device: &DeviceSnapshot| {
        !round.training.contains(&device.device)
            && matches!(idle_reason(round, device), IdleReason::AboutToAsk | IdleReason::Free)
    };
    if !devices.iter().any(mismatched) || devices.iter().any(available) {
        return None;
    }
    let Fingerprint { app, burn, backend, hardware } = required;
    Some(format!(
        "the job is reproducible and runs only on devices with {backend} {hardware} (Constellation \
         {app}, burn {burn}), and none of them is available; set `run.reproducible = false` to \
         allow any device"
    ))
}
