//! Jobs over networks that misbehave: a coordinator and workers in network namespaces of their own,
//! real TCP and real multicast over links that lose, delay, throttle, vanish and forget. However the
//! network was, the model is the one that `constellation simulate` makes without any.
//!
//! This needs root, iproute2 and `/dev/net/tun`; where they are missing each scenario says so.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "helpers of tests fail as tests do"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what was measured or skipped")]

mod flows;
mod hub;
mod lab;
mod link;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use lab::{Lab, Program, address, simulate};
use link::Quality;

/// 131,092 parameters: an update is half a megabyte, so that it is on its way for a while.
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

/// So long the network is gone in the middle of an upload, unless the environment says otherwise;
/// longer than the patience below, so that the lease lapses meanwhile.
const PARTITION_SECONDS: u64 = 12;
const PARTITION_VARIABLE: &str = "CONSTELLATION_TEST_PARTITION_SECONDS";

#[test]
fn five_percent_of_the_packets_are_lost_and_one_in_a_hundred_comes_twice() {
    let quality = Quality {
        delay: Duration::from_millis(5),
        loss: 0.05,
        duplication: 0.01,
        ..Quality::default()
    };
    with_two_workers("loss", quality);
}

#[test]
fn every_packet_takes_300_milliseconds() {
    let quality = Quality { delay: Duration::from_millis(300), ..Quality::default() };
    with_two_workers("latency", quality);
}

#[test]
fn a_megabit_a_second() {
    let quality = Quality {
        delay: Duration::from_millis(20),
        bits_per_second: Some(1e6),
        ..Quality::default()
    };
    with_two_workers("rate", quality);
}

/// The lease lapses while the network is gone, and the upload goes on where it broke.
#[test]
fn the_network_is_gone_in_the_middle_of_an_upload() {
    let Some(lab) = Lab::new(1, &["--lease-timeout", "5"]) else { return };
    let worker = lab.worker(1, &[COORDINATOR[0], COORDINATOR[1]]);
    worker.until("it is ready", |line| line["state"] == "waiting");
    let slow = Quality { bits_per_second: Some(1e6), ..Quality::default() };
    lab.wire(1).set_quality(slow, 1);
    let job = lab.file("job.toml", JOB);
    let id = lab.submit(&job);
    let (mut before, began) = (0, Instant::now());
    for round in 1..=ROUNDS {
        worker.until("it uploads", |line| line["state"] == "uploading");
        let sent = lab.wire(1).sent();
        if round == 1 {
            wait_until("half of the update is sent", || {
                lab.wire(1).sent() > sent + UPDATE_BYTES / 2
            });
            lab.wire(1).cut(true);
            std::thread::sleep(partition());
            lab.wire(1).cut(false);
            before = sent;
        }
        for _ in 1..SEATS {
            worker.until("the other seat's", |line| line["state"] == "uploading");
        }
    }
    let all = lab.watch(&id);
    check("partition", &job, &all, began);
    // All updates once, and again what was on its way when the network went: a socket's buffer.
    let (sent, updates) = (lab.wire(1).sent() - before, ROUNDS * SEATS * UPDATE_BYTES);
    let again = sent as f64 / updates as f64 - 1.0;
    println!("network: partition sent_again={again:.3} of the updates' {updates} bytes");
    assert!(sent < updates + UPDATE_BYTES / 2, "{sent} bytes for updates of {updates}");
}

/// A translator of addresses forgets the connections on which a worker waits for work.
#[test]
fn idle_connections_are_forgotten_in_silence() {
    let Some(lab) = Lab::new(2, &[]) else { return };
    for worker in 1..=2 {
        lab.wire(worker).forget_idle_flows(Duration::from_secs(8));
    }
    let workers = [1, 2].map(|number| lab.worker(number, COORDINATOR));
    for worker in &workers {
        worker.until("it is ready", |line| line["state"] == "waiting");
    }
    // Until what they wait on is forgotten.
    std::thread::sleep(Duration::from_secs(10));
    let began = Instant::now();
    let job = lab.file("job.toml", JOB);
    let all = lab.watch(&lab.submit(&job));
    check("silence", &job, &all, began);
}

/// The worker knows the coordinator's first address from its join code, and the next by Bonjour.
#[test]
fn the_coordinator_gets_another_address_in_the_middle_of_a_job() {
    let Some(lab) = Lab::new(1, &[]) else { return };
    let worker = lab.worker(1, &[]);
    worker.until("it is ready", |line| line["state"] == "waiting");
    let began = Instant::now();
    let job = lab.file("job.toml", JOB);
    let id = lab.submit(&job);
    worker.until("the first report", |line| line["state"] == "reported");
    // Nothing passes until the old address is gone, so that the job can't end before.
    lab.wire(1).cut(true);
    lab.hosts[0].lose_address(address(1));
    lab.hosts[0].take_address(address(99));
    assert_eq!(lab.say(&["job", "show", &id])["status"], "running");
    lab.wire(1).cut(false);
    let all = lab.watch(&id);
    check("address", &job, &all, began);
    assert!(lab.hosts[1].is_connected_to(address(99)), "it went on at the old address");
}

const COORDINATOR: &[&str] = &["--coordinator", "https://10.77.0.1:8000"];

fn with_two_workers(name: &str, quality: Quality) {
    let Some(lab) = Lab::new(2, &[]) else { return };
    for (worker, seed) in [(1, 11), (2, 22)] {
        lab.wire(worker).set_quality(quality, seed);
    }
    let workers = [1, 2].map(|number| lab.worker(number, COORDINATOR));
    for worker in &workers {
        worker.until("it is ready", |line| line["state"] == "waiting");
    }
    let began = Instant::now();
    let job = lab.file("job.toml", JOB);
    let all = lab.watch(&lab.submit(&job));
    check(name, &job, &all, began);
    // The last answers may still be on their way.
    let mut reported = 0;
    wait_until("every update is answered for", || {
        reported += reports(&workers);
        reported >= ROUNDS * SEATS
    });
    assert_eq!(reported, ROUNDS * SEATS);
}

/// Nothing was lost, nothing counted twice, and the model is the undisturbed one.
fn check(name: &str, job: &Path, lines: &[Value], began: Instant) {
    let undisturbed = simulate(job);
    let (last, rounds) = lines.split_last().unwrap();
    let (expected_last, expected) = undisturbed.split_last().unwrap();
    assert_eq!(last["model_blake3"], expected_last["model_blake3"]);
    assert_eq!(rounds.len() as u64, ROUNDS);
    for (round, expected) in rounds.iter().zip(expected) {
        for field in ["round", "examples", "test_accuracy", "test_loss"] {
            assert_eq!(round[field], expected[field], "{field} of {round}");
        }
        // Each seat's update once.
        assert_eq!(round["bytes_up"], SEATS * UPDATE_BYTES, "{round}");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("network: {name} model_blake3={} seconds={seconds:.1}", last["model_blake3"]);
}

/// Updates that the workers have heard of as taken, now or before.
fn reports(workers: &[Program]) -> u64 {
    let said = workers.iter().flat_map(Program::said);
    let taken = |line: &Value| line["outcome"] == "accepted" || line["outcome"] == "duplicate";
    said.filter(|line| line["state"] == "reported" && taken(line)).count() as u64
}

fn partition() -> Duration {
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
