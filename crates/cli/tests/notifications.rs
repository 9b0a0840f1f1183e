//! Notices for administrators, on the command line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::{Node, result};

const JOB: &str = r#"
name = "untrained"
model_type = "nlp"
dataset = "synthetic"
"#;

#[test]
fn an_ended_job_is_listed_until_its_notice_is_dismissed() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("job.toml"), JOB).unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut coordinator = Node::start(home, &[&["coordinator"][..], &listen].concat());
    assert!(coordinator.lines.next().unwrap().unwrap().contains("url"));
    assert_eq!(result(home, &["notice", "list"]), json!([]));

    let job = result(home, &["job", "submit", "job.toml"])["id"].as_str().unwrap().to_owned();
    result(home, &["job", "cancel", &job]);
    let notices = result(home, &["notice", "list"]);
    assert_eq!(notices[0]["kind"], "job_cancelled", "{notices}");
    assert_eq!(notices[0]["subject"], job);

    let id = notices[0]["id"].to_string();
    let dismissed = result(home, &["notice", "dismiss", id.trim_matches('"')]);
    assert!(dismissed["dismissed_at"].is_string() || dismissed["dismissed_at"].is_number());
    assert_eq!(result(home, &["notice", "list"]), json!([]));
    let all = result(home, &["notice", "list", "--all"]);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    assert_eq!(coordinator.stop(), Some(0));
}
