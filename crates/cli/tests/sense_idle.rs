//! The hidden command `sense-idle`: prints a reading, and ends with its standard input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Stdio;

use support::constellation;

#[test]
fn the_idle_helper_prints_its_reading_and_ends_with_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        constellation(folder.path(), &["sense-idle"]).stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let mut lines = printed.lines();
    let line = lines.next().unwrap();
    if platform::sensors::idle_helper::IS_USED {
        assert!(line.parse::<u64>().is_ok(), "{line}");
        assert!(output.status.success(), "{stderr}");
    } else {
        assert_eq!(line, "error only macOS has this counter");
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.starts_with("error: can't read the idle time: only macOS"), "{stderr}");
    }
    assert_eq!(lines.next(), None);
}
