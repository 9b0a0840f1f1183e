//! `/metrics`: the coordinator's state in Prometheus text format. `docs/metrics.md` lists the
//! metrics.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use protocol::api::JobStatus;
use protocol::device::DeviceState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Viewer;
use crate::clock;

/// Number of responses, by the first digit of their status.
#[derive(Debug, Default)]
pub(crate) struct Requests([AtomicU64; 5]);

impl Requests {
    pub(super) fn count(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Returns metrics in Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "status", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(_: Viewer, State(shared): State<Shared>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text(&shared)).into_response()
}

fn text(shared: &Shared) -> String {
    let mut page = Page::default();
    page.head("constellation_info", "gauge", "The program's version.");
    page.line("constellation_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);

    let devices = shared.views.devices(clock::now());
    page.head("constellation_devices", "gauge", "Enrolled devices, by state.");
    for state in
        [DeviceState::Waiting, DeviceState::Training, DeviceState::Held, DeviceState::Offline]
    {
        let approved = devices.iter().filter(|device| device.approval.is_none());
        let count = approved.filter(|device| device.state == state).count();
        page.line("constellation_devices", &[("state", state_word(state))], count as f64);
    }
    let name = "constellation_devices_awaiting_approval";
    page.head(name, "gauge", "Device records that wait for an administrator's approval.");
    let waiting = devices.iter().filter(|device| device.approval.is_some() && !device.revoked);
    page.line(name, &[], waiting.count() as f64);

    let jobs = shared.views.jobs();
    page.head("constellation_jobs", "gauge", "Jobs, by their status.");
    for status in JobStatus::ALL {
        let count = jobs.iter().filter(|view| view.job.status == status).count();
        page.line("constellation_jobs", &[("status", status.name())], count as f64);
    }
    let sum = |of: &dyn Fn(&crate::views::JobView) -> u64| {
        jobs.iter().map(|view| of(view)).sum::<u64>() as f64
    };
    let of_rounds =
        |of: fn(&protocol::api::Round) -> u64| sum(&|view| view.rounds.iter().map(of).sum());
    let counters = [
        (
            "constellation_rounds_closed_total",
            "Closed rounds of all jobs.",
            of_rounds(|round| u64::from(round.closed_at.is_some())),
        ),
        (
            "constellation_updates_bytes_total",
            "Bytes of the updates that took a seat.",
            of_rounds(|round| round.bytes_up),
        ),
        (
            "constellation_examples_total",
            "Rows trained on, including repeats.",
            of_rounds(|round| round.examples),
        ),
        (
            "constellation_leases_lost_total",
            "Leases lost after their first step.",
            sum(&|view| view.job.leases_lost),
        ),
    ];
    for (name, help, value) in counters {
        page.head(name, "counter", help);
        page.line(name, &[], value);
    }
    let seats = |of: fn(&protocol::api::Round) -> u32| {
        let open = jobs.iter().filter(|view| !view.job.status.is_final());
        let open = open.filter_map(|view| view.rounds.last());
        open.filter(|round| round.closed_at.is_none())
            .map(|round| u64::from(of(round)))
            .sum::<u64>() as f64
    };
    page.head("constellation_open_seats", "gauge", "Seats of the open rounds, by their state.");
    page.line("constellation_open_seats", &[("state", "leased")], seats(|round| round.leased));
    page.line("constellation_open_seats", &[("state", "reported")], seats(|round| round.reported));
    page.line("constellation_open_seats", &[("state", "all")], seats(|round| round.seats));

    page.head("constellation_http_requests_total", "counter", "Requests answered, by status.");
    for (class, counter) in (1..).zip(&shared.requests.0) {
        let count = counter.load(Ordering::Relaxed) as f64;
        page.line("constellation_http_requests_total", &[("status", &format!("{class}xx"))], count);
    }
    page.head("constellation_revision", "counter", "The newest revision of /events.");
    page.line("constellation_revision", &[], *shared.revision.borrow() as f64);
    page.text
}

const fn state_word(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Waiting => "waiting",
        DeviceState::Training => "training",
        DeviceState::Held => "held",
        DeviceState::Offline => "offline",
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes a line. Labels are fixed strings, so they need no escaping.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }
}
