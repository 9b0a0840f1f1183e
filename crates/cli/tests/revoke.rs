//! Revocation of a device during a lease, with a real worker process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use platform::Secrets;
use serde_json::{Value, json};

use support::{Node, result};

/// A job that runs for as long as the test does.
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
fn a_revoked_worker_stops_at_once_wipes_its_data_and_comes_back_only_when_it_is_reinstated() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut coordinator = Node::start(home, &[&["coordinator"][..], &listen].concat());
    let listening: Value =
        serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    let url = listening["url"].as_str().unwrap().to_owned();
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

    // An enrolled worker needs no code.
    let mut second = Node::start(home, &worker);
    result(home, &["job", "submit", "job.toml"]);
    let trainer = loop {
        if let Some(trainer) = second.until("training")["trainer_pid"].as_u64() {
            break u32::try_from(trainer).unwrap();
        }
    };
    let data_dir = home.join("worker");
    assert!(platform::process::is_alive(trainer));
    assert!(
        !names(&data_dir.join("cache")).is_empty() && !names(&data_dir.join("leases")).is_empty()
    );
    let secrets = Secrets::open(&data_dir).unwrap();
    assert!(secrets.get("sealing-key").unwrap().is_some());

    let revoked = result(home, &["device", "revoke", &device]);
    assert_eq!(revoked["revoked"], true);
    let wiped = second.until("wiped");
    assert!(wiped["bytes"].as_u64().unwrap() > 0, "{wiped}");
    assert_eq!(second.exit_code(), Some(1), "a person has to act");
    assert!(!platform::process::is_alive(trainer));
    assert_eq!(names(&data_dir.join("cache")), Vec::<String>::new());
    assert_eq!(names(&data_dir.join("leases")), Vec::<String>::new());
    assert_eq!(secrets.get("sealing-key").unwrap(), None);

    // Neither its old token nor a valid join code lets it in again.
    let (without, with) =
        (Node::start(home, &worker).exit_code(), Node::start(home, &joining).exit_code());
    assert_eq!((without, with), (Some(1), Some(1)));
    let devices = result(home, &["device", "list"]);
    assert_eq!(devices.as_array().unwrap().len(), 1, "{devices}");
    assert_eq!([&devices[0]["id"], &devices[0]["revoked"]], [&json!(device), &json!(true)]);

    let reinstated = result(home, &["device", "reinstate", &device]);
    assert_eq!(reinstated["revoked"], false);
    let mut again = Node::start(home, &joining);
    assert_eq!(again.until("registered")["device"], json!(device));
    assert_eq!(again.stop(), Some(0));
    assert_eq!(coordinator.stop(), Some(0));
}
