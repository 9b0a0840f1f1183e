//! Jobs over unreliable networks: a coordinator and workers in their own network namespaces, with
//! real TCP and real multicast over links that lose, delay, throttle, drop out and forget
//! connections. In every case the model equals the one that `constellation simulate` makes without
//! a network.
//!
//! This needs root, iproute2 and `/dev/net/tun`. If they are missing, each scenario prints that it
//! is skipped.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "helpers of tests fail as tests do"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "measurements and skipped tests are printed"
)]

mod flows;
mod hub;
mod lab;
mod link;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use lab::{Lab, Program, address, simulate};
use link::Quality;

/// 131,092 parameters: an update is half a megabyte, so that its upload takes a while.
const JOB: &str = r#"
name = "network"
model_type = "nlp"
dataset = "synthetic"
seed = 7
[model]
input = { kind = "text", buckets = 16384, ngrams = 1, max_words = 16 }
layers = [{ kind = "embedding_bag", dimension = 8 }, { kind = "linear", outputs = 4 }]
[data]
partitions = 2
train_limit = 400
[plan]
batch_size = 32
[run]
rounds = 2
"#;
const UPDATE_BYTES: u64 = 4 * (16_384 * 8 + 8 * 4 + 4);
const ROUNDS: u64 = 2;
const SEATS: u64 = 2;

/// Seconds for which the network is down during an upload, unless the environment sets another
/// value. Longer than the lease timeout below, so that the lease expires meanwhile.
const PARTITION_SECONDS: u64 = 12;
const PARTITION_VARIABLE: &str = "CONSTELLATION_TEST_PARTITION_SECONDS";

#[test]
fn five_percent_packet_loss_and_one_percent_duplication() {
    let quality = Quality {
        delay: Duration::from_millis(5),
        loss: 0.05,
        duplication: 0.01,
        ..Quality::default()
    };
    with_two_workers("loss", quality);
}

#[test]
fn every_packet_is_delayed_by_300_milliseconds() {
    let quality = Quality { delay: Duration::from_millis(300), ..Quality::default() };
    with_two_workers("latency", quality);
}

#[test]
fn a_link_of_one_megabit_per_second() {
    let quality = Quality {
        delay: Duration::from_millis(20),
        bits_per_second: Some(1e6),
        ..Quality::default()
    };
    with_two_workers("rate", quality);
}

/// The lease expires while the network is down, and the upload resumes where it was interrupted.
#[test]
fn the_network_fails_during_an_upload() {
    let Some(lab) = Lab::new(1, &["--lease-timeout", "5"]) else { return };
    let worker = lab.worker(1, &[COORDINATOR[0], COORDINATOR[1]]);
    worker.until("it is ready", |line| line["state"] == "waiting");
    let slow = Quality { bits_per_second: Some(1e6), ..Quality::default() };
    lab.port(1).set_quality(slow, 1);
    let job = lab.file("job.toml", JOB);
    let id = lab.submit(&job);
    let (mut before, started) = (0, Instant::now());
    for round in 1..=ROUNDS {
        worker.until("it uploads", |line| line["state"] == "uploading");
        let sent = lab.port(1).sent();
        if round == 1 {
            wait_until("half of the update is sent", || {
                lab.port(1).sent() > sent + UPDATE_BYTES / 2
            });
            lab.port(1).cut(true);
            std::thread::sleep(outage());
            lab.port(1).cut(false);
            before = sent;
        }
        for _ in 1..SEATS {
            worker.until("it uploads the other seat's update", |line| line["state"] == "uploading");
        }
    }
    let lines = lab.watch(&id);
    check("partition", &job, &lines, started);
    // Every update once, plus what was in flight when the network went down: a socket's buffer.
    let (sent, updates) = (lab.port(1).sent() - before, ROUNDS * SEATS * UPDATE_BYTES);
    let resent = sent as f64 / updates as f64 - 1.0;
    println!("network: partition sent_again={resent:.3} of the updates' {updates} bytes");
    assert!(sent < updates + UPDATE_BYTES / 2, "{sent} bytes for updates of {updates}");
}

/// A network address translator drops the connections on which a worker waits for work.
#[test]
fn idle_connections_are_dropped_silently() {
    let Some(lab) = Lab::new(2, &[]) else { return };
    for worker in 1..=2 {
        lab.port(worker).forget_idle_flows(Duration::from_secs(8));
    }
    let workers = [1, 2].map(|number| lab.worker(number, COORDINATOR));
    for worker in &workers {
        worker.until("it is ready", |line| line["state"] == "waiting");
    }
    // Wait until the connections have expired.
    std::thread::sleep(Duration::from_secs(10));
    let started = Instant::now();
    let job = lab.file("job.toml", JOB);
    let lines = lab.watch(&lab.submit(&job));
    check("silence", &job, &lines, started);
}

/// The worker knows the coordinator's first address from its join code, and finds the next one by
/// Bonjour.
#[test]
fn the_coordinator_changes_its_address_during_a_job() {
    let Some(lab) = Lab::new(1, &[]) else { return };
    let worker = lab.worker(1, &[]);
    worker.until("it is ready", |line| line["state"] == "waiting");
    let started = Instant::now();
    let job = lab.file("job.toml", JOB);
    let id = lab.submit(&job);
    worker.until("the first report", |line| line["state"] == "reported");
    // Nothing passes until the old address is removed, so that the job can't end before.
    lab.port(1).cut(true);
    lab.hosts[0].remove_address(address(1));
    lab.hosts[0].add_address(address(99));
    assert_eq!(lab.run_json(&["job", "show", &id])["status"], "running");
    lab.port(1).cut(false);
    let lines = lab.watch(&id);
    check("address", &job, &lines, started);
    assert!(lab.hosts[1].is_connected_to(address(99)), "the worker still uses the old address");
}

const COORDINATOR: &[&str] = &["--coordinator", "https://10.77.0.1:8000"];

fn with_two_workers(name: &str, quality: Quality) {
    let Some(lab) = Lab::new(2, &[]) else { return };
    for (worker, seed) in [(1, 11), (2, 22)] {
        lab.port(worker).set_quality(quality, seed);
    }
    let workers = [1, 2].map(|number| lab.worker(number, COORDINATOR));
    for worker in &workers {
        worker.until("it is ready", |line| line["state"] == "waiting");
    }
    let started = Instant::now();
    let job = lab.file("job.toml", JOB);
    let lines = lab.watch(&lab.submit(&job));
    check(name, &job, &lines, started);
    // The last replies may still be on their way.
    let mut reported = 0;
    wait_until("every update is acknowledged", || {
        reported += count_accepted(&workers);
        reported >= ROUNDS * SEATS
    });
    assert_eq!(reported, ROUNDS * SEATS);
}

/// Checks that nothing was lost or counted twice, and that the model equals the simulated one.
fn check(name: &str, job: &Path, lines: &[Value], started: Instant) {
    let simulated = simulate(job);
    let (last, rounds) = lines.split_last().unwrap();
    let (expected_last, expected) = simulated.split_last().unwrap();
    assert_eq!(last["model_blake3"], expected_last["model_blake3"]);
    assert_eq!(rounds.len() as u64, ROUNDS);
    for (round, expected) in rounds.iter().zip(expected) {
        for field in ["round", "examples", "test_accuracy", "test_loss"] {
            assert_eq!(round[field], expected[field], "{field} of {round}");
        }
        // The update of each seat once.
        assert_eq!(round["bytes_up"], SEATS * UPDATE_BYTES, "{round}");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("network: {name} model_blake3={} seconds={seconds:.1}", last["model_blake3"]);
}

/// Number of updates that the workers have seen accepted, now or before.
fn count_accepted(workers: &[Program]) -> u64 {
    let lines = workers.iter().flat_map(Program::received);
    let taken = |line: &Value| line["outcome"] == "accepted" || line["outcome"] == "duplicate";
    lines.filter(|line| line["state"] == "reported" && taken(line)).count() as u64
}

fn outage() -> Duration {
    let seconds = std::env::var(PARTITION_VARIABLE).ok().map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(PARTITION_SECONDS))
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
