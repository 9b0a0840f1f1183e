//! What an administrator is told, by the command line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::{Node, result};

const JOB: &str = r#"
name = "nobody trains this"
model_type = "nlp"
dataset = "synthetic"
"#;

#[test]
fn what_ended_is_told_until_it_is_put_away() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut coordinator = Node::start(home, &[&["coordinator"][..], &listen].concat());
    assert!(coordinator.lines.next().unwrap().unwrap().contains("url"));
    assert_eq!(result(home, &["notice", "list"]), json!([]));

    let job = result(home, &["job", "submit", "job.toml"])["id"].as_str().unwrap().to_owned();
    result(home, &["job", "cancel", &job]);
    let told = result(home, &["notice", "list"]);
    assert_eq!(told[0]["kind"], "job_cancelled", "{told}");
    assert_eq!(told[0]["subject"], job);

    let id = told[0]["id"].to_string();
    let put_away = result(home, &["notice", "dismiss", id.trim_matches('"')]);
    assert!(put_away["dismissed_at"].is_string() || put_away["dismissed_at"].is_number());
    assert_eq!(result(home, &["notice", "list"]), json!([]));
    let all = result(home, &["notice", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    assert_eq!(coordinator.stop(), Some(0));
}
