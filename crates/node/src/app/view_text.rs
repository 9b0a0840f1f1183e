//! View texts, derived from the state of the app's parts. Pure functions.

use protocol::Timestamp;
use protocol::device::HoldReason;
use protocol::lease::ReturnReason;
use worker::{PresenceDetail, Status};

use super::user_override::TimedOverride;
use super::view::{
    CoordinatorView, GivenView, Icon, MayView, Membership, ModeView, OverrideView, Seen,
    UpdateView, View, WorkView,
};

/// Latest state of the app's parts.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) mode: ModeView,
    /// Latest status of the worker.
    pub(super) status: Option<Status>,
    /// Reason why the worker stopped, if it needs a person or time.
    pub(super) failure: Option<String>,
    pub(super) membership: Membership,
    pub(super) wish: TimedOverride,
    pub(super) may: MayView,
    /// Detail of a hold that is sent to the coordinator.
    pub(super) presence: PresenceDetail,
    pub(super) coordinator: CoordinatorView,
    pub(super) update: UpdateView,
    pub(super) notes: Vec<String>,
    /// Whether the system denies the app access to the local network.
    pub(super) local_network_off: bool,
    /// Reason why training may use less memory than usual.
    pub(super) memory: Option<String>,
    /// Message about a link or join code that could not be used.
    pub(super) join_note: Option<String>,
    /// Reason why the app can't follow the start-at-login setting.
    pub(super) login_problem: Option<String>,
    pub(super) device: Device,
}

/// Facts about the machine that are sent to the coordinator.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) cores: u32,
    pub(super) ram_gb: f64,
}

impl Device {
    /// Returns the everyday name of this kind of machine.
    pub(super) fn machine(&self) -> &'static str {
        if self.kind == "mac" { "Mac" } else { "computer" }
    }
}

/// Returns the view of these facts at `now`, in the machine's time zone.
pub(super) fn view(
    facts: &Facts,
    given: GivenView,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> View {
    let wish = facts.wish.at(now).view(now, zone);
    let work = match wish {
        // The worker needs a moment to report that it stopped.
        OverrideView::Paused { .. } => None,
        OverrideView::None | OverrideView::Contributing { .. } => {
            facts.status.as_ref().and_then(work)
        }
    };
    let StateText { icon, line, detail } = state_text(facts, &wish, work.as_ref());
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
    let login =
        login.map(|problem| format!("The start-at-login setting could not be applied: {problem}"));
    facts.notes.iter().chain(&facts.join_note).chain(&facts.memory).cloned().chain(login).collect()
}

struct StateText {
    icon: Icon,
    line: String,
    detail: String,
}

fn text(icon: Icon, line: impl Into<String>, detail: impl Into<String>) -> StateText {
    StateText { icon, line: line.into(), detail: detail.into() }
}

fn state_text(facts: &Facts, wish: &OverrideView, work: Option<&WorkView>) -> StateText {
    if !facts.mode.is_chosen {
        return text(Icon::Attention, "Not set up yet", "Choose what this machine does.");
    }
    if let CoordinatorView::Failed { reason } = &facts.coordinator {
        return text(Icon::Attention, "The coordinator isn't running", reason);
    }
    if !facts.mode.worker {
        return coordinator_alone(&facts.coordinator);
    }
    if let Some(failure) = &facts.failure {
        return text(Icon::Attention, "Needs attention", failure);
    }
    match &facts.membership {
        Membership::None { problem } => {
            let detail = "Enter the join code from your administrator.";
            let detail = problem.as_deref().unwrap_or(detail);
            return text(Icon::Attention, "Not connected: in no cluster", detail);
        }
        Membership::Joining => {
            return text(Icon::Waiting, "Joining…", "Contacting the coordinator.");
        }
        Membership::Member { .. } => {}
    }
    if let OverrideView::Paused { until } = wish {
        let until = until.as_deref().unwrap_or("you resume");
        return text(Icon::Paused, format!("Paused until {until}"), "");
    }
    if let Some(work) = work {
        let line =
            format!("Training {}, round {} of {}", work.job_name, work.round, work.total_rounds);
        let progress = if work.steps == 0 { 0.0 } else { work.step as f64 / work.steps as f64 };
        return text(Icon::Training { progress: progress.clamp(0.0, 1.0) }, line, "");
    }
    by_status(facts)
}

fn coordinator_alone(coordinator: &CoordinatorView) -> StateText {
    match coordinator {
        CoordinatorView::Running { cluster, warning, .. } => {
            let detail = warning.clone().unwrap_or_default();
            text(Icon::Waiting, format!("Coordinating {cluster}"), detail)
        }
        CoordinatorView::Starting => text(Icon::Waiting, "Starting the coordinator…", ""),
        CoordinatorView::Off | CoordinatorView::Failed { .. } => {
            text(Icon::Attention, "The coordinator isn't running", "")
        }
    }
}

fn by_status(facts: &Facts) -> StateText {
    let machine = facts.device.machine();
    match &facts.status {
        None | Some(Status::Connecting | Status::Stopped) => {
            text(Icon::Waiting, "Connecting…", "Looking for the coordinator.")
        }
        Some(Status::Offline { .. }) if facts.local_network_off => {
            let line = "Not connected: local network access is off";
            let detail = "Turn on Constellation in System Settings > Privacy & Security > Local Network. A \
                coordinator outside the local network needs no access: ask your administrator for its address.";
            text(Icon::Attention, line, detail)
        }
        Some(Status::Offline { reason }) => {
            text(Icon::Attention, "Not connected: the coordinator doesn't answer", reason)
        }
        Some(Status::Quarantined { reason }) => {
            let detail = format!("It gets no work: {reason}");
            text(Icon::Attention, "In quarantine: ask an administrator to release it", detail)
        }
        Some(Status::AwaitingApproval) => {
            let line = format!("Waiting for an administrator to approve this {machine}");
            let detail = "It has a new key. This happens after its disk was erased.";
            text(Icon::Attention, line, detail)
        }
        Some(Status::Held { reason, words }) => held(*reason, words, machine),
        Some(Status::Uploading { .. }) => text(Icon::Waiting, "Uploading the result", ""),
        Some(Status::Wiped { .. }) => {
            let line = format!("This {machine} was removed from its cluster");
            text(Icon::Attention, line, "Its key and all training data were deleted.")
        }
        Some(Status::Returned { reason: ReturnReason::Memory, .. }) => {
            let line = "Waiting: the job needs more memory than allowed";
            text(Icon::Waiting, line, "Change the limit in the settings.")
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
        ) => text(Icon::Waiting, "Waiting: there is nothing to train", ""),
    }
}

/// Returns the policy's message, reworded if it addresses a person who isn't at the machine.
fn held(reason: HoldReason, words: &str, machine: &str) -> StateText {
    let line = match reason {
        HoldReason::InUse if words.ends_with("is in use") => {
            format!("Waiting: you're using the {machine}")
        }
        HoldReason::Unknown => {
            let line = format!("Waiting: this {machine} can't detect whether it is in use");
            return text(Icon::Waiting, line, "Choose “Contribute now” to train anyway.");
        }
        HoldReason::InUse
        | HoldReason::OnBattery
        | HoldReason::TooWarm
        | HoldReason::Scheduled
        | HoldReason::Paused => words.to_owned(),
    };
    text(Icon::Waiting, line, "")
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

/// Returns everything that leaves the machine.
fn company_sees(facts: &Facts) -> Vec<Seen> {
    let seen = |name: &str, value: String| Seen { name: name.to_owned(), value };
    let state = match &facts.status {
        Some(Status::Held { reason, .. }) => match facts.presence.reason(*reason) {
            Some(reason) => format!("waiting: {}", reason.to_text()),
            None => "waiting: no reason given".to_owned(),
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
    let hardware = format!("{}, {} cores, {} GB", device.machine(), device.cores, device.ram_gb);
    vec![
        seen("Name", device.name.clone()),
        seen("Hardware", hardware),
        seen(state_name, state),
        seen("Work done", "leases, with their row counts and seconds".to_owned()),
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
            wish: TimedOverride::None,
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

    fn view_of(facts: &Facts) -> View {
        super::view(facts, GivenView::default(), NOW, &jiff::tz::TimeZone::UTC)
    }

    /// Returns the view of a waiting cluster member.
    pub(in super::super) fn view() -> View {
        view_of(&facts())
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
            note(view_of(&Facts { status: Some(status), ..facts() }));
        }
        let until = Some(NOW.after(std::time::Duration::from_hours(1)));
        note(view_of(&Facts { wish: TimedOverride::Paused { until }, ..facts() }));
        note(view_of(&Facts { membership: Membership::None { problem: None }, ..facts() }));
        note(view_of(&Facts { membership: Membership::Joining, ..facts() }));
        note(view_of(&Facts { failure: Some("The disk is full.".into()), ..facts() }));
        let offline = Some(Status::Offline { reason: "no answer".into() });
        note(view_of(&Facts { status: offline, local_network_off: true, ..facts() }));
        let reason = ReturnReason::Memory;
        note(view_of(&Facts { status: Some(Status::Returned { lease, reason }), ..facts() }));
        let alone = ModeView { worker: false, coordinator: true, ..facts().mode };
        let (cluster, url) = ("Acme".into(), "https://127.0.0.1:8000".into());
        let running = CoordinatorView::Running { cluster, url, warning: None };
        note(view_of(&Facts { mode: alone, coordinator: running, ..facts() }));
        let failed = CoordinatorView::Failed { reason: "Port 8000 is taken.".into() };
        note(view_of(&Facts { coordinator: failed, ..facts() }));
        let unchosen = ModeView { is_chosen: false, ..facts().mode };
        note(view_of(&Facts { mode: unchosen, ..facts() }));
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_leaves_the_machine_is_coarse() {
        let words = "a call is on".to_owned();
        let status = Some(Status::Held { reason: HoldReason::InUse, words });
        let seen = view_of(&Facts { status: status.clone(), ..facts() }).company_sees;
        let all = format!("{seen:?}");
        assert!(all.contains("in use") && !all.contains("call"), "{all}");
        assert!(all.contains("one of six reasons"), "{all}");
        let seen =
            view_of(&Facts { status, presence: PresenceDetail::State, ..facts() }).company_sees;
        let all = format!("{seen:?}");
        assert!(all.contains("without a reason") && all.contains("no reason given"), "{all}");
        assert!(!all.contains("in use") && !all.contains("call"), "{all}");
    }
}
