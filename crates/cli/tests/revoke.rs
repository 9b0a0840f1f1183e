//! A device that is let go, as its Mac meets it: a worker's process in the middle of a lease.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use platform::Secrets;
use serde_json::{Value, json};

use support::{Node, result};

/// It goes on for as long as the test does.
const JOB: &str = r#"
name = "long"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 1
[plan]
local_epochs = 10000
"#;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_revoked_worker_stops_at_once_wipes_what_it_has_and_asks_no_more() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut coordinator = Node::start(home, &[&["coordinator"][..], &listen].concat());
    let opening: Value = serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    let url = opening["url"].as_str().unwrap().to_owned();
    let code = result(home, &["join-code", "create", "--uses", "2"]);
    let link = code["link"].as_str().unwrap();

    let https = url.replace("http://", "https://");
    let worker = ["worker", "--when", "always", "--backend", "cpu", "--data-dir", "worker"];
    let worker = [&worker[..], &["--coordinator", &https]].concat();
    let joining = [&worker[..], &["--join", link]].concat();
    let mut first = Node::start(home, &joining);
    let device = first.until("registered")["device"].as_str().unwrap().to_owned();
    first.until("waiting");
    assert_eq!(first.stop(), Some(0));

    // Enrolled, it needs no code.
    let mut second = Node::start(home, &worker);
    result(home, &["job", "submit", "job.toml"]);
    let trainer = loop {
        if let Some(trainer) = second.until("training")["trainer_pid"].as_u64() {
            break u32::try_from(trainer).unwrap();
        }
    };
    let kept = home.join("worker");
    assert!(platform::process::is_alive(trainer));
    assert!(!names(&kept.join("cache")).is_empty() && !names(&kept.join("leases")).is_empty());
    let secrets = Secrets::of(&kept).unwrap();
    assert!(secrets.get("sealing-key").unwrap().is_some());

    let revoked = result(home, &["device", "revoke", &device]);
    assert_eq!(revoked["revoked"], true);
    let wiped = second.until("wiped");
    assert!(wiped["bytes"].as_u64().unwrap() > 0, "{wiped}");
    assert_eq!(second.ended(), Some(1), "a person must see to it");
    assert!(!platform::process::is_alive(trainer));
    assert_eq!(names(&kept.join("cache")), Vec::<String>::new());
    assert_eq!(names(&kept.join("leases")), Vec::<String>::new());
    assert_eq!(secrets.get("sealing-key").unwrap(), None);

    // Neither what it has nor a code that is open lets it in again.
    let (without, with) = (Node::start(home, &worker).ended(), Node::start(home, &joining).ended());
    assert_eq!((without, with), (Some(1), Some(1)));
    let devices = result(home, &["device", "list"]);
    assert_eq!(devices.as_array().unwrap().len(), 1, "{devices}");
    assert_eq!([&devices[0]["id"], &devices[0]["revoked"]], [&json!(device), &json!(true)]);
    assert_eq!(coordinator.stop(), Some(0));
}
