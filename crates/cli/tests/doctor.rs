//! `doctor` on the command line: exit codes, findings and the support bundle.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use support::{Node, constellation, result};

const DEVICE_TOKEN: &str = "planted-device-token-0123456789abcdef";
const ADMIN_TOKEN: &str = "planted-admin-token-0123456789abcdef";
const ENVIRONMENT_TOKEN: &str = "planted-environment-token-0123456789";
const CODE: &str = "0123-4567-89AB-CDEF";
const ROW: &str = "the patient in row 7 of the dataset";

/// Returns the exit code, the report and standard error.
fn doctor(home: &Path, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let output = constellation(home, &arguments)
        .env("CONSTELLATION_BACKEND", "cpu")
        .env("XDG_STATE_HOME", home.join("state"))
        .env("CONSTELLATION_TOKEN", ENVIRONMENT_TOKEN)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{stderr}"));
    (output.status.code(), report, stderr)
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{report}"))
}

#[test]
fn a_working_machine_passes_and_a_stopped_or_wrong_coordinator_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut coordinator = Node::start(home, &[&["coordinator"][..], &listen].concat());
    let listening: Value =
        serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    let https = listening["url"].as_str().unwrap().replace("http://", "https://");
    let code = result(home, &["join-code", "create"]);
    let worker = ["worker", "--when", "always", "--backend", "cpu", "--data-dir", "worker"];
    let joining =
        [&worker[..], &["--coordinator", &https, "--join", code["link"].as_str().unwrap()]]
            .concat();
    let mut worker = Node::start(home, &joining);
    worker.until("registered");
    assert_eq!(worker.stop(), Some(0));

    let target = ["--data-dir", "worker", "--coordinator", &https];
    let (exit_code, report, stderr) = doctor(home, &target);
    assert_eq!(exit_code, Some(0), "{report} {stderr}");
    for name in [
        "version",
        "settings",
        "enrolment",
        "local-network",
        "coordinator",
        "pin",
        "clock",
        "backend",
    ] {
        assert_eq!(check(&report, name)["state"], "ok", "{report}");
    }
    assert!(check(&report, "backend")["found"].as_str().unwrap().contains("CPU"));

    let other = ["--pin", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
    let (exit_code, report, stderr) = doctor(home, &[&target[..], &other].concat());
    assert_eq!(exit_code, Some(1), "{report}");
    assert_eq!(check(&report, "pin")["state"], "failed");
    assert!(check(&report, "pin")["mend"].as_str().unwrap().contains("new join code"), "{report}");
    assert!(stderr.contains("checks failed: pin"), "{stderr}");

    assert_eq!(coordinator.stop(), Some(0));
    let (exit_code, report, _) = doctor(home, &target);
    assert_eq!(exit_code, Some(1));
    let found = check(&report, "coordinator");
    assert_eq!(found["state"], "failed");
    assert!(found["found"].as_str().unwrap().contains(&https), "{found}");
    assert_eq!(check(&report, "pin")["state"], "unknown");
}

#[test]
fn unreadable_settings_are_a_finding_and_wrong_usage_exits_with_2() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let folder = home.join(".config/constellation");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("settings.toml"), "IdleSecond = 3").unwrap();
    let (exit_code, report, _) = doctor(home, &[]);
    assert_eq!(exit_code, Some(1));
    let found = check(&report, "settings");
    assert!(found["found"].as_str().unwrap().contains("did you mean 'IdleSeconds'"), "{found}");
    let output = constellation(home, &["doctor", "--bundel", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Plants secrets and rows everywhere that they can occur, and searches the support bundle for
/// them.
#[test]
fn the_support_bundle_contains_no_secrets_and_no_data() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let write = |path: &str, text: &str| {
        let path = home.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        ".config/constellation/settings.toml",
        &format!("EnrollmentCode = \"{CODE}\"\nIdleSeconds = 77"),
    );
    write(".local/share/constellation/coordinator/admin-token", ADMIN_TOKEN);
    write("worker/identity.json", &format!("{{\"enrolment\":{{\"token\":\"{DEVICE_TOKEN}\"}}}}"));
    write("worker/cache/blob", ROW);
    write("worker/secrets/sealing-key", "planted-sealing-key");
    let log = format!(
        "a plain line\ntoken {DEVICE_TOKEN} {ADMIN_TOKEN} {ENVIRONMENT_TOKEN}\ncode {CODE}\n\
         Authorization: Bearer c3VwZXIgc2VjcmV0IHRva2VuIG9mIG5vYm9keQ1\nconstellation://join/AQGJCl2slndLvM6z\n"
    );
    write("state/constellation/log/app.log", &log);
    write("state/constellation/log/rows.csv", ROW);

    let (exit_code, report, _) = doctor(home, &["--data-dir", "worker", "--bundle", "support.zip"]);
    assert_eq!(
        exit_code,
        Some(1),
        "the planted identity is not valid and no coordinator is known: {report}"
    );
    let mut archive =
        zip::ZipArchive::new(std::fs::File::open(home.join("support.zip")).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["README.txt", "doctor.json", "settings.json", "logs/app.log"]);
    let mut all = report.to_string();
    for name in &names {
        archive.by_name(name).unwrap().read_to_string(&mut all).unwrap();
    }
    for kept in ["a plain line", "IdleSeconds", "77", "\"EnrollmentCode\""] {
        assert!(all.contains(kept), "{kept}: {all}");
    }
    let code_without_dashes = CODE.replace('-', "");
    let home = home.to_str().unwrap();
    let planted =
        [DEVICE_TOKEN, ADMIN_TOKEN, ENVIRONMENT_TOKEN, CODE, &code_without_dashes, ROW, home];
    for secret in [&planted[..], &["planted-sealing-key", "c3VwZXIg", "AQGJCl2s"]].concat() {
        assert!(!all.contains(secret), "the bundle contains {secret}");
    }
}
