//! "Why isn't my job moving?", answered in plain sentences from what the coordinator knows: the
//! open round, what every device does, and which other jobs they work for.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::device::{DeviceState, HoldReason};
use protocol::fingerprint::Fingerprint;
use protocol::{DeviceId, Timestamp};

use crate::machine::{JobSnapshot, RoundSnapshot, duration_words};

/// Standing still for less than this is not worth a sentence.
const WORTH_SAYING: Duration = Duration::from_mins(1);

/// A device as far as it matters here; revoked ones are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSnapshot {
    pub device: DeviceId,
    pub state: DeviceState,
    pub reason: Option<HoldReason>,
    pub fingerprint: Fingerprint,
    pub quarantined: bool,
    /// Whether it has one of the job's labels, where the job asks for any.
    pub labelled: bool,
    /// The job that it holds a lease of, where that is another.
    pub other_job: Option<OtherJob>,
}

/// A job that a device works for instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherJob {
    pub name: String,
    /// Whether its priority is higher than this job's.
    pub ahead: bool,
}

/// Sentences, the most important first; the first is the job's own reason. `labels` are those of the
/// devices that the job takes; none where it takes every device.
pub fn explain(
    reason: Option<&str>,
    outlook: &JobSnapshot,
    labels: &[String],
    devices: &[DeviceSnapshot],
    now: Timestamp,
) -> Vec<String> {
    let round = match outlook {
        JobSnapshot::Elsewhere => return reason.map(str::to_owned).into_iter().collect(),
        JobSnapshot::Collecting(round) => round,
    };
    let mut sentences = vec![seats(round)];
    if round.paused {
        sentences.push("the job is paused and gives out no work until it is resumed".to_owned());
    } else if round.reported < round.seats {
        sentences.extend(others(round, devices));
        sentences.extend(unlabelled(labels, devices));
        sentences.extend(bound(round, devices));
        sentences.extend(deadline(round, now));
    }
    if let Some((partition, times, detail)) = &round.failure {
        sentences.push(format!("partition {partition} failed {times}×; the last time: {detail}"));
    }
    let still = now.since(round.moved_at);
    if !round.paused && still >= WORTH_SAYING {
        sentences.push(format!("last progress {} ago", duration_words(still)));
    }
    sentences
}

fn seats(round: &RoundSnapshot) -> String {
    let training = match round.training.len() {
        0 => String::new(),
        1 => ", 1 is being trained".to_owned(),
        count => format!(", {count} are being trained"),
    };
    format!("{} of {} seats reported{training}", round.reported, round.seats)
}

fn deadline(round: &RoundSnapshot, now: Timestamp) -> Option<String> {
    let at = round.closes_at?;
    let minimum = round.minimum;
    Some(if round.overdue {
        let ago = duration_words(now.since(at));
        format!(
            "the deadline passed {ago} ago; the round closes as soon as {minimum} have reported"
        )
    } else {
        let left = duration_words(at.since(now));
        format!("the round closes in {left} with what it has, if {minimum} have reported by then")
    })
}

/// Why a device does not train for the job, in the order in which it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum IdleReason {
    Free,
    OtherJob(OtherJob),
    HeldReason(HeldReason),
    OtherLabels,
    WrongFingerprint,
    ShortOfMemory,
    FailedAll,
    Quarantined,
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
    Unsaid,
}

/// What the devices do that don't train for the job.
fn others(round: &RoundSnapshot, devices: &[DeviceSnapshot]) -> Option<String> {
    if devices.is_empty() {
        return Some(
            "no device is enrolled: make a join code (`constellation join-code create`) and give \
             it to a Mac"
                .to_owned(),
        );
    }
    let mut counts: BTreeMap<IdleReason, usize> = BTreeMap::new();
    for device in devices.iter().filter(|device| !round.training.contains(&device.device)) {
        *counts.entry(idle(round, device)).or_default() += 1;
    }
    if counts.is_empty() {
        return (round.open > 0).then(|| "every device is at work for this job".to_owned());
    }
    let told: Vec<String> = counts.into_iter().map(|(idle, count)| told(&idle, count)).collect();
    let whole = if round.training.is_empty() { "of the devices " } else { "of the other devices " };
    Some(format!("{whole}{}", told.join(", ")))
}

fn idle(round: &RoundSnapshot, device: &DeviceSnapshot) -> IdleReason {
    if device.quarantined {
        return IdleReason::Quarantined;
    }
    match device.state {
        DeviceState::Offline => return IdleReason::Offline,
        DeviceState::Held => return IdleReason::HeldReason(held(device.reason)),
        DeviceState::Waiting | DeviceState::Training => {}
    }
    if let Some(other) = &device.other_job {
        return IdleReason::OtherJob(other.clone());
    }
    if !device.labelled {
        return IdleReason::OtherLabels;
    }
    if round.fingerprint.as_ref().is_some_and(|bound| *bound != device.fingerprint) {
        return IdleReason::WrongFingerprint;
    }
    if round.short_of_memory.contains(&device.device) {
        return IdleReason::ShortOfMemory;
    }
    if round.failed_all.contains(&device.device) {
        return IdleReason::FailedAll;
    }
    IdleReason::Free
}

const fn held(reason: Option<HoldReason>) -> HeldReason {
    match reason {
        Some(HoldReason::InUse) => HeldReason::InUse,
        Some(HoldReason::OnBattery) => HeldReason::OnBattery,
        Some(HoldReason::TooWarm) => HeldReason::TooWarm,
        Some(HoldReason::Scheduled) => HeldReason::Scheduled,
        Some(HoldReason::Paused) => HeldReason::Paused,
        Some(HoldReason::Unknown) => HeldReason::Unreadable,
        None => HeldReason::Unsaid,
    }
}

fn told(idle: &IdleReason, count: usize) -> String {
    let (one, many) = match idle {
        IdleReason::Free => ("is free and about to ask", "are free and about to ask"),
        IdleReason::OtherJob(OtherJob { name, ahead }) => {
            let ahead = if *ahead { ", which has a higher priority" } else { "" };
            let works = if count == 1 { "works" } else { "work" };
            return format!("{count} {works} for '{name}'{ahead}");
        }
        IdleReason::HeldReason(HeldReason::InUse) => {
            ("waits for its owner to leave", "wait for their owners to leave")
        }
        IdleReason::HeldReason(HeldReason::OnBattery) => ("is on battery", "are on battery"),
        IdleReason::HeldReason(HeldReason::TooWarm) => ("is too warm", "are too warm"),
        IdleReason::HeldReason(HeldReason::Scheduled) => {
            ("waits for its hours", "wait for their hours")
        }
        IdleReason::HeldReason(HeldReason::Paused) => {
            ("was paused by its owner", "were paused by their owners")
        }
        IdleReason::HeldReason(HeldReason::Unreadable) => {
            ("can't tell whether it is in use", "can't tell whether they are in use")
        }
        IdleReason::HeldReason(HeldReason::Unsaid) => ("is held back", "are held back"),
        IdleReason::OtherLabels => ("has none of its labels", "have none of its labels"),
        IdleReason::WrongFingerprint => ("would compute other bits", "would compute other bits"),
        IdleReason::ShortOfMemory => {
            ("has too little memory for this job", "have too little memory for this job")
        }
        IdleReason::FailedAll => {
            ("failed every seat that is open", "failed every seat that is open")
        }
        IdleReason::Quarantined => ("is in quarantine", "are in quarantine"),
        IdleReason::Offline => ("is offline", "are offline"),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

/// That no device has the labels that the job asks for.
fn unlabelled(labels: &[String], devices: &[DeviceSnapshot]) -> Option<String> {
    if labels.is_empty() || devices.is_empty() || devices.iter().any(|device| device.labelled) {
        return None;
    }
    let labels = labels.join("' or '");
    Some(format!(
        "the job takes only devices with the label '{labels}', and none has it: label one, or make \
         the job without `run.labels`"
    ))
}

/// Which devices the job takes, where that is what keeps it.
fn bound(round: &RoundSnapshot, devices: &[DeviceSnapshot]) -> Option<String> {
    let bound = round.fingerprint.as_ref()?;
    let refused = |device: &DeviceSnapshot| idle(round, device) == IdleReason::WrongFingerprint;
    let free = |device: &DeviceSnapshot| {
        !round.training.contains(&device.device) && idle(round, device) == IdleReason::Free
    };
    if !devices.iter().any(refused) || devices.iter().any(free) {
        return None;
    }
    let Fingerprint { app, burn, backend, hardware } = bound;
    Some(format!(
        "the job takes only devices with {backend} {hardware} (Constellation {app}, burn {burn}), so \
         that it can be repeated bit for bit, and none of those is free; `run.reproducible = false` \
         takes any"
    ))
}
