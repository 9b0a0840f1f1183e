//! `/metrics`: the coordinator's state in Prometheus text format. `docs/metrics.md` lists the
//! metrics.

use std::fmt::{self, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use protocol::api::{JobStatus, Round};
use protocol::device::{Device, DeviceState};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock;
use crate::http::auth::extractors::Viewer;
use crate::http::state::ApiState;
use crate::views::JobView;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Returns metrics in Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "status", security(("token" = ["viewer", "admin"])),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(_: Viewer, State(shared): State<ApiState>) -> Response {
    let mut registry = Registry::with_prefix("constellation");
    let version = [(env!("CARGO_PKG_VERSION"), 1)];
    registry.register("info", "The program's version", Labeled::gauges("version", version));
    register_devices(&mut registry, &shared.views.devices(clock::now()));
    register_jobs(&mut registry, &shared.views.jobs());
    let requests = shared.responses.counts();
    registry.register(
        "http_requests",
        "Requests answered, by status",
        Labeled::counters("status", ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(requests)),
    );
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = encode(&mut text, &registry);
    let _ = write_revision(&mut text, *shared.revision.borrow());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

fn register_devices(registry: &mut Registry, devices: &[Device]) {
    let approved = |state: DeviceState| {
        let approved = devices.iter().filter(|device| device.approval.is_none());
        approved.filter(|device| device.state == state).count() as u64
    };
    let states =
        [DeviceState::Waiting, DeviceState::Training, DeviceState::Held, DeviceState::Offline];
    let by_state = states.map(|state| (state_word(state), approved(state)));
    registry.register("devices", "Enrolled devices, by state", Labeled::gauges("state", by_state));
    let waiting = devices.iter().filter(|device| device.approval.is_some() && !device.revoked);
    registry.register(
        "devices_awaiting_approval",
        "Device records that wait for an administrator's approval",
        ConstGauge::new(waiting.count() as u64),
    );
}

fn register_jobs(registry: &mut Registry, jobs: &[Arc<JobView>]) {
    let with_status =
        |status: JobStatus| jobs.iter().filter(|view| view.job.status == status).count() as u64;
    let by_status = JobStatus::ALL.map(|status| (status.name(), with_status(status)));
    registry.register("jobs", "Jobs, by their status", Labeled::gauges("status", by_status));

    let rounds = |count: fn(&Round) -> u64| {
        ConstCounter::new(jobs.iter().flat_map(|view| view.rounds()).map(count).sum::<u64>())
    };
    let closed = rounds(|round| u64::from(round.closed_at.is_some()));
    registry.register("rounds_closed", "Closed rounds of all jobs", closed);
    let bytes = rounds(|round| round.bytes_up);
    registry.register("updates_bytes", "Bytes of the updates that took a seat", bytes);
    let examples = rounds(|round| round.examples);
    registry.register("examples", "Rows trained on, including repeats", examples);
    let lost = jobs.iter().map(|view| view.job.leases_lost).sum::<u64>();
    let lost = ConstCounter::new(lost);
    registry.register("leases_lost", "Leases lost after their first step", lost);

    let open = jobs.iter().filter(|view| !view.job.status.is_final());
    let open = open.filter_map(|view| view.current_round());
    let open: Vec<&Round> = open.filter(|round| round.closed_at.is_none()).collect();
    let seats =
        |count: fn(&Round) -> u32| open.iter().map(|round| u64::from(count(round))).sum::<u64>();
    let by_state = [
        ("leased", seats(|round| round.leased)),
        ("reported", seats(|round| round.reported)),
        ("all", seats(|round| round.seats)),
    ];
    registry.register(
        "open_seats",
        "Seats of the open rounds, by their state",
        Labeled::gauges("state", by_state),
    );
}

/// Writes the revision. Its name is older than the use of the library, which adds `_total` to the name
/// of each counter.
fn write_revision(text: &mut String, revision: u64) -> fmt::Result {
    let name = "constellation_revision";
    writeln!(text, "# HELP {name} The newest revision of /events.")?;
    writeln!(text, "# TYPE {name} counter\n{name} {revision}")
}

/// Gauges or counters with one label each, written in this order. (The order of the library's `Family`
/// changes with each start.)
#[derive(Debug)]
struct Labeled {
    kind: MetricType,
    label: &'static str,
    values: Vec<(&'static str, u64)>,
}

impl Labeled {
    fn gauges(label: &'static str, values: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        Self { kind: MetricType::Gauge, label, values: values.into_iter().collect() }
    }

    fn counters(
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self { kind: MetricType::Counter, ..Self::gauges(label, values) }
    }
}

impl EncodeMetric for Labeled {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (value, number) in &self.values {
            let labels = [(self.label, *value)];
            let mut encoder = encoder.encode_family(&labels)?;
            if matches!(self.kind, MetricType::Counter) {
                encoder.encode_counter::<NoLabelSet, _, u64>(number, None)?;
            } else {
                encoder.encode_gauge(number)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

const fn state_word(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Waiting => "waiting",
        DeviceState::Training => "training",
        DeviceState::Held => "held",
        DeviceState::Offline => "offline",
    }
}
