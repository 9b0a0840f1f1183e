//! Configuration profile for an MDM: the command writes the same file as the coordinator serves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use support::{Node, constellation, result};

#[test]
fn the_command_writes_what_the_coordinator_serves() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let listen = ["--listen", "127.0.0.1:0", "--no-discovery", "--data-dir", "coordinator"];
    let mut coordinator = Node::start(home, &[&["coordinator"][..], &listen].concat());
    let listening: Value =
        serde_json::from_str(&coordinator.lines.next().unwrap().unwrap()).unwrap();
    let url = listening["url"].as_str().unwrap().to_owned();
    let code = result(home, &["join-code", "create", "--uses", "500"]);
    let link = code["link"].as_str().unwrap();

    let written = ["profile", "--join", link, "--out", "one.mobileconfig"];
    let output = constellation(home, &written).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = home.join("one.mobileconfig");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("com.apple.security.root")
            && written.contains(code["code"].as_str().unwrap())
    );

    let token = std::fs::read_to_string(home.join("coordinator/admin-token")).unwrap();
    let plain = url.replace("https://", "http://");
    let body = serde_json::json!({ "link": link }).to_string();
    let curl = ["-sS", "-X", "POST", "-H", "Content-Type: application/json", "-H"];
    let served = std::process::Command::new("curl")
        .args(curl)
        .arg(format!("Authorization: Bearer {}", token.trim()))
        .args(["-d", &body, &format!("{plain}/profile")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(served.stdout).unwrap(), written);

    let error = |arguments: &[&str]| {
        let output = constellation(home, &[&["profile", "--out", "two"], arguments].concat())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!home.join("two").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    let typed = error(&["--join", code["code"].as_str().unwrap()]);
    assert!(typed.contains("join link"), "{typed}");
    assert_eq!(coordinator.stop(), Some(0));
    let gone = error(&["--join", link]);
    assert!(gone.contains("--without-certificate"), "{gone}");
    let without = [
        "profile",
        "--join",
        link,
        "--out",
        "three",
        "--without-certificate",
        "--team-id",
        "ABCDE12345",
    ];
    assert!(constellation(home, &without).output().unwrap().status.success());
    let text = std::fs::read_to_string(home.join("three")).unwrap();
    assert!(text.contains("ABCDE12345") && !text.contains("com.apple.security.root"));
}
