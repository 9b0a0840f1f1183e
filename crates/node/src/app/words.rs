//! From what the parts of the app say to what a person reads. Pure.

use protocol::Timestamp;
use protocol::device::HoldReason;
use protocol::lease::ReturnReason;
use worker::{PresenceDetail, Status};

use super::view::{
    CoordinatorView, GivenView, Icon, MayView, Membership, ModeView, Seen, UpdateView, View,
    WishView, WorkView,
};
use super::wish::Wish;

/// What is known, as the parts of the app said it last.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) mode: ModeView,
    /// The worker's last word.
    pub(super) status: Option<Status>,
    /// What ended the worker, where that needs a person or time.
    pub(super) failure: Option<String>,
    pub(super) membership: Membership,
    pub(super) wish: Wish,
    pub(super) may: MayView,
    /// How much of a hold leaves the machine.
    pub(super) presence: PresenceDetail,
    pub(super) coordinator: CoordinatorView,
    pub(super) update: UpdateView,
    pub(super) notes: Vec<String>,
    /// The system keeps the app from the local network.
    pub(super) local_network_off: bool,
    pub(super) memory: Option<String>,
    pub(super) join_note: Option<String>,
    pub(super) login_problem: Option<String>,
    pub(super) device: Device,
}

/// What the coordinator is told of the machine itself.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) cores: u32,
    pub(super) ram_gb: f64,
}

impl Device {
    /// As its owner calls it.
    pub(super) fn machine(&self) -> &'static str {
        if self.kind == "mac" { "Mac" } else { "computer" }
    }
}

/// The view of these facts at `now`, in the zone of the machine's owner.
pub(super) fn view(
    facts: &Facts,
    given: GivenView,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> View {
    let wish = facts.wish.at(now).view(now, zone);
    let work = match wish {
        // The worker takes a moment to say that it stopped.
        WishView::Paused { .. } => None,
        WishView::None | WishView::Contributing { .. } => facts.status.as_ref().and_then(work),
    };
    let Said { icon, line, detail } = said(facts, &wish, work.as_ref());
    View {
        mode: facts.mode,
        icon,
        line,
        detail,
        company_sees: company_sees(facts),
        work,
        membership: facts.membership.clone(),
        invitation: None,
        given,
        wish,
        may: facts.may,
        coordinator: facts.coordinator.clone(),
        notes: notes(facts),
        update: facts.update.clone(),
        machine: facts.device.machine().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn notes(facts: &Facts) -> Vec<String> {
    let login = facts.login_problem.iter();
    let login = login.map(|problem| format!("Starting at login is not as it is set: {problem}"));
    facts.notes.iter().chain(&facts.join_note).chain(&facts.memory).cloned().chain(login).collect()
}

struct Said {
    icon: Icon,
    line: String,
    detail: String,
}

fn say(icon: Icon, line: impl Into<String>, detail: impl Into<String>) -> Said {
    Said { icon, line: line.into(), detail: detail.into() }
}

fn said(facts: &Facts, wish: &WishView, work: Option<&WorkView>) -> Said {
    if !facts.mode.is_chosen {
        return say(Icon::Attention, "Not set up yet", "Say what this machine is for.");
    }
    if let CoordinatorView::Failed { reason } = &facts.coordinator {
        return say(Icon::Attention, "The coordinator does not run", reason);
    }
    if !facts.mode.worker {
        return coordinator_alone(&facts.coordinator);
    }
    if let Some(failure) = &facts.failure {
        return say(Icon::Attention, "Needs attention", failure);
    }
    match &facts.membership {
        Membership::None { problem: Some(problem) } => {
            return say(Icon::Attention, "Not connected: in no cluster", problem);
        }
        Membership::None { problem: None } => {
            let detail = "Give the join code that your administrator sent you.";
            return say(Icon::Attention, "Not connected: in no cluster", detail);
        }
        Membership::Joining => return say(Icon::Waiting, "Joining…", "Asking the coordinator."),
        Membership::Member { .. } => {}
    }
    if let WishView::Paused { until } = wish {
        let line = match until {
            Some(until) => format!("Paused until {until}"),
            None => "Paused until you resume".to_owned(),
        };
        return say(Icon::Paused, line, "");
    }
    if let Some(work) = work {
        let line =
            format!("Training {}, round {} of {}", work.job_name, work.round, work.total_rounds);
        let progress = if work.steps == 0 { 0.0 } else { work.step as f64 / work.steps as f64 };
        return say(Icon::Training { progress: progress.clamp(0.0, 1.0) }, line, "");
    }
    by_status(facts)
}

fn coordinator_alone(coordinator: &CoordinatorView) -> Said {
    match coordinator {
        CoordinatorView::Running { cluster, warning, .. } => {
            let detail = warning.clone().unwrap_or_default();
            say(Icon::Waiting, format!("Coordinating {cluster}"), detail)
        }
        CoordinatorView::Starting => say(Icon::Waiting, "The coordinator starts…", ""),
        CoordinatorView::Off | CoordinatorView::Failed { .. } => {
            say(Icon::Attention, "The coordinator does not run", "")
        }
    }
}

fn by_status(facts: &Facts) -> Said {
    let machine = facts.device.machine();
    match &facts.status {
        None | Some(Status::Connecting | Status::Stopped) => {
            say(Icon::Waiting, "Connecting…", "Looking for the coordinator.")
        }
        Some(Status::Offline { .. }) if facts.local_network_off => {
            let line = "Not connected: local network access is off";
            let detail = "Switch Constellation on in System Settings, Privacy & Security, Local Network. A \
                coordinator beyond the local network needs no access: your administrator knows its address.";
            say(Icon::Attention, line, detail)
        }
        Some(Status::Offline { reason }) => {
            say(Icon::Attention, "Not connected: the coordinator does not answer", reason)
        }
        Some(Status::Quarantined { reason }) => {
            let detail = format!("{reason} An administrator can release it.");
            say(Icon::Attention, format!("This {machine} gets no work"), detail)
        }
        Some(Status::AwaitingApproval) => {
            let line = format!("Waiting for an administrator to approve this {machine}");
            let detail =
                "The cluster knows it under another key. This happens after its disk was erased.";
            say(Icon::Attention, line, detail)
        }
        Some(Status::Held { reason, words }) => held(*reason, words, machine),
        Some(Status::Uploading { .. }) => say(Icon::Waiting, "Sending what it learned", ""),
        Some(Status::Wiped { .. }) => {
            let line = format!("This {machine} was let go by its cluster");
            say(Icon::Attention, line, "Its key and all work are destroyed.")
        }
        Some(Status::Returned { reason: ReturnReason::Memory, .. }) => {
            let line = "Waiting: the work takes more memory than it may";
            say(Icon::Waiting, line, "The settings say how much training may take.")
        }
        Some(
            Status::Waiting
            | Status::Registered { .. }
            | Status::JoinFailed { .. }
            | Status::Reported { .. }
            | Status::Lost { .. }
            | Status::Returned { .. }
            | Status::Limited { .. }
            | Status::Fetching { .. }
            | Status::Training { .. },
        ) => say(Icon::Waiting, "Waiting: there is nothing to train", ""),
    }
}

/// The policy's own sentence, but where it speaks to somebody who isn't in front of the machine.
fn held(reason: HoldReason, words: &str, machine: &str) -> Said {
    let line = match reason {
        HoldReason::InUse if words.ends_with("is in use") => {
            format!("Waiting: you're using the {machine}")
        }
        HoldReason::Unknown => {
            let line = format!("Waiting: can't tell whether somebody uses the {machine}");
            return say(Icon::Waiting, line, "\u{201c}Contribute now\u{201d} trains all the same.");
        }
        HoldReason::InUse
        | HoldReason::OnBattery
        | HoldReason::TooWarm
        | HoldReason::Scheduled
        | HoldReason::Paused => words.to_owned(),
    };
    say(Icon::Waiting, line, "")
}

fn work(status: &Status) -> Option<WorkView> {
    let (job_name, round, total_rounds, partition, step, steps) = match status {
        Status::Fetching { job_name, round, total_rounds, partition, .. } => {
            (job_name, round, total_rounds, partition, 0, 0)
        }
        Status::Training { job_name, round, total_rounds, partition, step, steps, .. } => {
            (job_name, round, total_rounds, partition, *step, *steps)
        }
        Status::Connecting
        | Status::Registered { .. }
        | Status::JoinFailed { .. }
        | Status::Waiting
        | Status::Quarantined { .. }
        | Status::AwaitingApproval
        | Status::Uploading { .. }
        | Status::Reported { .. }
        | Status::Lost { .. }
        | Status::Returned { .. }
        | Status::Held { .. }
        | Status::Limited { .. }
        | Status::Offline { .. }
        | Status::Wiped { .. }
        | Status::Stopped => return None,
    };
    Some(WorkView {
        job_name: job_name.clone(),
        round: *round,
        total_rounds: *total_rounds,
        partition: *partition,
        step,
        steps,
    })
}

/// DESIGN §11.22: what leaves the machine, and nothing else does.
fn company_sees(facts: &Facts) -> Vec<Seen> {
    let seen = |name: &str, value: String| Seen { name: name.to_owned(), value };
    let state = match &facts.status {
        Some(Status::Held { reason, .. }) => match facts.presence.reason(*reason) {
            Some(reason) => format!("waiting: {}", reason.words()),
            None => "waiting: it isn't said why".to_owned(),
        },
        Some(Status::Fetching { .. } | Status::Training { .. } | Status::Uploading { .. }) => {
            "training".to_owned()
        }
        Some(Status::Offline { .. }) | None => "offline".to_owned(),
        Some(_) => "waiting".to_owned(),
    };
    let state_name = match facts.presence {
        PresenceDetail::Reasons => "State, with one of six reasons, kept 30 days",
        PresenceDetail::State => "State, without a reason, kept 30 days",
    };
    let device = &facts.device;
    vec![
        seen("Name", device.name.clone()),
        seen(
            "Hardware",
            format!("{}, {} cores, {} GB", device.machine(), device.cores, device.ram_gb),
        ),
        seen(state_name, state),
        seen("Work done", "leases with their rows and seconds".to_owned()),
        seen("Version of Constellation", env!("CARGO_PKG_VERSION").to_owned()),
        seen("Address on the network", "while it is connected".to_owned()),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);

    fn facts() -> Facts {
        Facts {
            mode: ModeView { is_chosen: true, is_managed: false, worker: true, coordinator: false },
            status: Some(Status::Waiting),
            failure: None,
            membership: Membership::Member { cluster: "Acme".into() },
            wish: Wish::None,
            may: MayView { pause: true, quit: true },
            presence: PresenceDetail::Reasons,
            coordinator: CoordinatorView::Off,
            update: UpdateView::Unknown,
            notes: vec![],
            local_network_off: false,
            memory: None,
            join_note: None,
            login_problem: None,
            device: Device { name: "anna".into(), kind: "mac", cores: 10, ram_gb: 32.0 },
        }
    }

    fn of(facts: &Facts) -> View {
        super::view(facts, GivenView::default(), NOW, &jiff::tz::TimeZone::UTC)
    }

    /// A member that waits.
    pub(in super::super) fn view() -> View {
        of(&facts())
    }

    #[test]
    fn every_state_is_said_in_plain_words() {
        let lease = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let training = Status::Training {
            lease,
            job_name: "AG News".into(),
            round: 7,
            total_rounds: 20,
            partition: 3,
            step: 30,
            steps: 120,
            trainer_pid: None,
        };
        let held = |reason| Status::Held { reason, words: "the machine is in use".into() };
        let reasons = [
            HoldReason::InUse,
            HoldReason::OnBattery,
            HoldReason::TooWarm,
            HoldReason::Scheduled,
            HoldReason::Paused,
            HoldReason::Unknown,
        ];
        let mut statuses: Vec<_> = reasons.map(held).to_vec();
        statuses.extend([
            training,
            Status::Connecting,
            Status::Waiting,
            Status::Offline { reason: "no route; check the network".into() },
            Status::Quarantined { reason: "3 of its updates were refused.".into() },
            Status::Wiped { bytes: 1 },
            Status::Uploading { lease, bytes: 1 },
        ]);
        let mut said = Vec::new();
        let mut note = |view: View| {
            said.push(format!("{:?} | {} | {}", view.icon, view.line, view.detail));
        };
        for status in statuses {
            note(of(&Facts { status: Some(status), ..facts() }));
        }
        let until = Some(NOW.after(std::time::Duration::from_hours(1)));
        note(of(&Facts { wish: Wish::Paused { until }, ..facts() }));
        note(of(&Facts { membership: Membership::None { problem: None }, ..facts() }));
        note(of(&Facts { membership: Membership::Joining, ..facts() }));
        note(of(&Facts { failure: Some("The disk is full.".into()), ..facts() }));
        let offline = Some(Status::Offline { reason: "no answer".into() });
        note(of(&Facts { status: offline, local_network_off: true, ..facts() }));
        let reason = ReturnReason::Memory;
        note(of(&Facts { status: Some(Status::Returned { lease, reason }), ..facts() }));
        let alone = ModeView { worker: false, coordinator: true, ..facts().mode };
        let running = CoordinatorView::Running {
            cluster: "Acme".into(),
            url: "https://127.0.0.1:8000".into(),
            warning: None,
        };
        note(of(&Facts { mode: alone, coordinator: running, ..facts() }));
        let failed = CoordinatorView::Failed { reason: "Port 8000 is taken.".into() };
        note(of(&Facts { coordinator: failed, ..facts() }));
        note(of(&Facts { mode: ModeView { is_chosen: false, ..facts().mode }, ..facts() }));
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_leaves_the_machine_is_coarse() {
        let status =
            Some(Status::Held { reason: HoldReason::InUse, words: "a call is on".to_owned() });
        let sees = |facts| format!("{:?}", of(&facts).company_sees);
        let all = sees(Facts { status: status.clone(), ..facts() });
        assert!(all.contains("in use") && !all.contains("call"), "{all}");
        assert!(all.contains("one of six reasons"), "{all}");
        let all = sees(Facts { status, presence: PresenceDetail::State, ..facts() });
        assert!(all.contains("without a reason") && all.contains("it isn't said why"), "{all}");
        assert!(!all.contains("in use") && !all.contains("call"), "{all}");
    }
}
