//! Compatibility with workers of an earlier protocol version: their stored requests, and the fields that they
//! read from the answers. A file is never changed after the release of its version; each new version gets its
//! own file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::{BlobHash, Opaque, PROTOCOL_VERSION, Pin};
use reqwest::Method;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::{Coordinator, tiny_job};

/// Number of leases of the tiny job: rounds times partitions.
const LEASES: usize = 4;

/// The requests of a worker from enrollment to leaving.
#[derive(Deserialize)]
struct Stored {
    protocol: u32,
    #[serde(rename = "enrol")]
    enroll: Vec<Step>,
    lease: Vec<Step>,
    give_back: Vec<Step>,
    report: Vec<Step>,
    leave: Vec<Step>,
}

/// One request and the expected answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Method and path. `{name}` is replaced by the kept value of that name.
    ask: String,
    #[serde(default)]
    bearer: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Value>,
    /// Set if the body is the update's bytes.
    #[serde(default)]
    sends: Option<String>,
    /// Whether the body needs a signature over kept values.
    #[serde(default)]
    sign: bool,
    /// Whether the answer is the model that the update is made for.
    #[serde(default)]
    train: bool,
    status: u16,
    /// The fields that this worker reads, each with its type.
    #[serde(default)]
    answer: Map<String, Value>,
    #[serde(default)]
    answer_headers: Vec<String>,
    /// Values to keep: name to JSON pointer in the answer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
}

#[tokio::test]
async fn a_worker_one_version_behind_enrolls_trains_and_leaves() {
    // Also the current version, which will be one behind after the next change.
    for protocol in (1..=PROTOCOL_VERSION).rev().take(2) {
        let file = folder().join(format!("protocol-{protocol}.json"));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; store this version's", file.display()));
        let stored: Stored = serde_json::from_str(&text).unwrap();
        assert_eq!(stored.protocol, protocol);
        run_worker(&stored).await;
    }
}

async fn run_worker(stored: &Stored) {
    let coordinator = Coordinator::start().await;
    let join = coordinator.join_code(json!({})).await.secret.proof().bearer();
    let mut worker = Worker {
        coordinator: &coordinator,
        protocol: stored.protocol,
        kept: [("join".to_owned(), join)].into(),
        update: Vec::new(),
    };
    worker.run(&stored.enroll).await;
    let job = coordinator.start_job(tiny_job()).await;
    worker.run(&stored.lease).await;
    worker.run(&stored.give_back).await;
    for _ in 0..LEASES {
        worker.run(&stored.lease).await;
        worker.run(&stored.report).await;
    }
    coordinator.job_in(&job, "completed").await;
    worker.run(&stored.leave).await;
}

struct Worker<'a> {
    coordinator: &'a Coordinator,
    protocol: u32,
    /// Values kept from earlier answers, by name.
    kept: BTreeMap<String, String>,
    update: Vec<u8>,
}

impl Worker<'_> {
    /// Sends the requests of some steps.
    async fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.ask(step).await;
        }
    }

    async fn ask(&mut self, step: &Step) {
        let (method, path) = step.ask.split_once(' ').unwrap();
        let url = format!("{}{}", self.coordinator.url, self.filled(path));
        let method: Method = method.parse().unwrap();
        let mut request = self.coordinator.http.request(method, url);
        request = request.header("Constellation-Protocol", self.protocol);
        if let Some(name) = &step.bearer {
            request = request.bearer_auth(&self.kept[name]);
        }
        for (name, value) in &step.headers {
            request = request.header(name, value);
        }
        if step.sign {
            self.sign(step.body.as_ref().unwrap());
        }
        if step.sends.is_some() {
            request = request.body(self.update.clone());
        } else if let Some(body) = &step.body {
            let body = self.filled(&body.to_string());
            request = request.header("Content-Type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(status, step.status, "{}: {text}", step.ask);
        for name in &step.answer_headers {
            assert!(headers.contains_key(name), "{}: no {name} in {headers:?}", step.ask);
        }
        if step.train {
            self.update = bytes.chunks_exact(4).flat_map(|_| 0.25_f32.to_le_bytes()).collect();
            self.kept.insert("update".to_owned(), BlobHash::compute(&self.update).to_string());
        }
        if step.answer.is_empty() && step.keep.is_empty() {
            return;
        }
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        check(&step.answer, &answer, &step.ask);
        for (name, pointer) in &step.keep {
            let found = answer.pointer(pointer).and_then(Value::as_str).unwrap();
            self.kept.insert(name.clone(), found.to_owned());
        }
    }

    /// Replaces each `{name}` by the kept value of that name.
    fn filled(&self, text: &str) -> String {
        self.kept.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }

    /// Signs as version 1 does. A copy of that version's code, because the current code may change.
    fn sign(&mut self, body: &Value) {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let pin: &Pin = &self.coordinator.pin;
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap();
        let context = "Constellation 2026-11 device registration v1";
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in [
            self.kept["challenge"].as_bytes(),
            pin.as_bytes(),
            text("/hardware_id").as_bytes(),
            b"0",
            text("/fingerprint/app").as_bytes(),
            text("/fingerprint/burn").as_bytes(),
            text("/fingerprint/backend").as_bytes(),
            text("/fingerprint/hardware").as_bytes(),
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let signature = key.sign(hasher.finalize().as_bytes());
        let public_key = Opaque(key.public_key().as_ref().to_vec()).to_string();
        let signature = Opaque(signature.as_ref().to_vec()).to_string();
        self.kept.extend([("public_key".into(), public_key), ("signature".into(), signature)]);
    }
}

/// Checks that every expected field exists and has its type. Additional fields are allowed.
fn check(expected: &Map<String, Value>, found: &Value, context: &str) {
    for (name, kind) in expected {
        let value = found.get(name).unwrap_or_else(|| panic!("{context}: no {name} in {found}"));
        if let Value::Object(inner) = kind {
            check(inner, value, &format!("{context} {name}"));
            continue;
        }
        let has_kind = match kind.as_str().unwrap() {
            "text" => value.is_string(),
            "number" => value.is_number(),
            "flag" => value.is_boolean(),
            "list" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("unknown kind {other}"),
        };
        assert!(has_kind, "{context}: {name} is {value}, not {kind}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored")
}
