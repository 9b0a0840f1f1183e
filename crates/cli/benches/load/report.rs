//! Results: a table for people and one line of JSON for scripts.

use std::time::Duration;

use node::output;
use serde::Serialize;

use crate::process::Usage;
use crate::record::{Heartbeats, Record};
use crate::updates::RoundTimes;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    devices: usize,
    enrolled_per_second: f64,
    steady: StageReport,
    /// Requests for work that the coordinator held at the end of the steady stage.
    open_polls: u64,
    polls_answered: u64,
    round: Option<RoundReport>,
    pub(crate) errors: Vec<String>,
}

/// Times are in milliseconds, memory in megabytes of 10⁶ bytes, processor use in busy cores.
#[derive(Debug, Default, Serialize)]
struct StageReport {
    seconds: f64,
    heartbeats: usize,
    heartbeat_p50_ms: f64,
    heartbeat_p99_ms: f64,
    heartbeat_max_ms: f64,
    generator_lag_p99_ms: f64,
    generator_lag_max_ms: f64,
    coordinator_rss_mb: f64,
    coordinator_rss_peak_mb: f64,
    coordinator_cores: f64,
    generator_cores: f64,
}

#[derive(Debug, Serialize)]
struct RoundReport {
    updates: usize,
    parameters: usize,
    bytes: u64,
    prepared_seconds: f64,
    taken_seconds: f64,
    aggregated_seconds: f64,
    /// Throughput of updates, from the first byte sent to the new global model.
    bytes_per_second: f64,
    slowest_update_seconds: f64,
    beside: StageReport,
}

impl Report {
    pub(crate) fn new(devices: usize, enrollment: Usage, steady: Usage) -> Self {
        Self {
            devices,
            enrolled_per_second: devices as f64 / enrollment.wall.as_secs_f64(),
            steady: StageReport::from_usage(steady),
            open_polls: 0,
            polls_answered: 0,
            round: None,
            errors: Vec::new(),
        }
    }

    pub(crate) fn add_record(&mut self, record: &Record, open_polls: u64) {
        self.steady.add_heartbeats(record.steady());
        self.open_polls = open_polls;
        self.polls_answered = record.polls();
    }

    pub(crate) fn add_round(&mut self, record: &Record, round: &RoundTimes, usage: Usage) {
        let bytes = round.uploads.iter().map(|upload| upload.bytes).sum();
        let slowest = round.uploads.iter().map(|upload| upload.finished - upload.started).max();
        let mut beside = StageReport::from_usage(usage);
        beside.add_heartbeats(record.during_updates());
        self.round = Some(RoundReport {
            updates: round.uploads.len(),
            parameters: round.parameters,
            bytes,
            prepared_seconds: round.prepared.as_secs_f64(),
            taken_seconds: round.upload.as_secs_f64(),
            aggregated_seconds: round.aggregated.as_secs_f64(),
            bytes_per_second: bytes as f64 / (round.upload + round.aggregated).as_secs_f64(),
            slowest_update_seconds: slowest.unwrap_or_default().as_secs_f64(),
            beside,
        });
    }

    pub(crate) fn print(&self) -> std::io::Result<()> {
        let mut rows = vec![
            row(
                "devices enrolled",
                format!("{}, {:.0} per second", self.devices, self.enrolled_per_second),
            ),
            row(
                "open requests for work",
                format!("{}, {} answered", self.open_polls, self.polls_answered),
            ),
        ];
        rows.extend(self.steady.rows());
        if let Some(round) = &self.round {
            let megabytes = round.bytes_per_second / 1e6;
            rows.push(row(
                "round",
                format!(
                    "{} updates of {} parameters ({:.1} GB), prepared in {:.1} s",
                    round.updates,
                    round.parameters,
                    round.bytes as f64 / 1e9,
                    round.prepared_seconds
                ),
            ));
            rows.push(row(
                "  upload + aggregation",
                format!(
                    "{:.1} + {:.1} s, {megabytes:.0} MB/s; slowest update {:.1} s",
                    round.taken_seconds, round.aggregated_seconds, round.slowest_update_seconds
                ),
            ));
            rows.push(row("during the round", String::new()));
            rows.extend(round.beside.rows());
        }
        rows.push(row("errors", self.errors.len().to_string()));
        output::table(["measure", "result"], &rows)?;
        output::json(self)
    }
}

impl StageReport {
    fn from_usage(usage: Usage) -> Self {
        let wall = usage.wall.as_secs_f64();
        Self {
            seconds: wall,
            coordinator_rss_mb: usage.bytes as f64 / 1e6,
            coordinator_rss_peak_mb: usage.peak_bytes as f64 / 1e6,
            coordinator_cores: usage.coordinator.as_secs_f64() / wall,
            generator_cores: usage.generator.as_secs_f64() / wall,
            ..Self::default()
        }
    }

    fn add_heartbeats(&mut self, heartbeats: &Heartbeats) {
        let (latency, lag) = (heartbeats.latency(), heartbeats.lag());
        self.heartbeats = heartbeats.count();
        self.heartbeat_p50_ms = milliseconds(latency.median);
        self.heartbeat_p99_ms = milliseconds(latency.p99);
        self.heartbeat_max_ms = milliseconds(latency.max);
        self.generator_lag_p99_ms = milliseconds(lag.p99);
        self.generator_lag_max_ms = milliseconds(lag.max);
    }

    fn rows(&self) -> Vec<[String; 2]> {
        vec![
            row("  heartbeats", format!("{} in {:.0} s", self.heartbeats, self.seconds)),
            row(
                "  heartbeat latency, from the due time",
                format!(
                    "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
                    self.heartbeat_p50_ms, self.heartbeat_p99_ms, self.heartbeat_max_ms
                ),
            ),
            row(
                "  lag of the generator (included)",
                format!(
                    "p99 {:.1} ms, max {:.1} ms",
                    self.generator_lag_p99_ms, self.generator_lag_max_ms
                ),
            ),
            row(
                "  coordinator",
                format!(
                    "{:.0} MB resident (peak {:.0}), {:.2} cores",
                    self.coordinator_rss_mb, self.coordinator_rss_peak_mb, self.coordinator_cores
                ),
            ),
            row("  generator", format!("{:.2} cores", self.generator_cores)),
        ]
    }
}

fn row(name: &str, result: String) -> [String; 2] {
    [name.to_owned(), result]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
