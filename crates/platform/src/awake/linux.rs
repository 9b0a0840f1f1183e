//! Linux: a systemd-logind inhibitor, held by a child process `systemd-inhibit`. The child talks to
//! logind over D-Bus, so this process needs no D-Bus library
//! (`docs/decisions/0007-sleep-login-and-priority.md`).

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "systemd-inhibit";
/// Shell script that runs while the inhibitor is held. It reports that, and ends when its input closes,
/// which is when this process ends.
const SCRIPT: &str = "echo held && exec cat";
/// Maximum length in bytes of the error output that is read.
const MAXIMUM_ERROR: u64 = 4096;

#[derive(Debug)]
pub(super) struct Hold(Child);

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // The kill fails if the child has exited. It is reaped in both cases.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(super) fn hold(why: &str) -> Result<Hold, String> {
    start(Command::new(PROGRAM), why)
}

fn start(mut inhibit: Command, why: &str) -> Result<Hold, String> {
    let child = inhibit
        .args(["--what=idle", "--mode=block", "--who=Constellation", &format!("--why={why}")])
        .args(["sh", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!("the program {PROGRAM} is not installed")
        } else {
            format!("{PROGRAM}: {error}")
        }
    })?;
    let mut hold = Hold(child);
    let mut line = String::new();
    if let Some(stdout) = hold.0.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    }
    if line.trim() == "held" {
        return Ok(hold);
    }
    let mut message = String::new();
    if let Some(stderr) = hold.0.stderr.take() {
        stderr.take(MAXIMUM_ERROR).read_to_string(&mut message).ok();
    }
    Err(match message.trim() {
        "" => format!("{PROGRAM} ended without an error message"),
        message => message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Fake `systemd-inhibit`, because the test machine may have no logind.
    fn fake_inhibit(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "fake"]);
        shell
    }

    #[test]
    fn the_inhibitor_is_held_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = folder.path().join("arguments");
        let script = format!("echo \"$@\" >{}; shift 4; exec \"$@\"", arguments.display());
        let mut held = start(fake_inhibit(&script), "a job runs").unwrap();
        assert!(held.0.try_wait().unwrap().is_none());
        let arguments = fs::read_to_string(arguments).unwrap();
        assert!(arguments.starts_with("--what=idle --mode=block"), "{arguments}");
        assert!(arguments.contains("--why=a job runs"), "{arguments}");
        let pid = held.0.id();
        drop(held);
        assert!(!crate::process::is_alive(pid));
    }

    #[test]
    fn a_refusal_carries_the_error_message() {
        assert_eq!(start(fake_inhibit("echo 'no bus' >&2; exit 1"), "x").unwrap_err(), "no bus");
        let reason = start(fake_inhibit("exit 0"), "x").unwrap_err();
        assert!(reason.ends_with("without an error message"), "{reason}");
        let reason = start(Command::new("/nowhere/systemd-inhibit"), "x").unwrap_err();
        assert!(reason.ends_with("is not installed"), "{reason}");
    }

    /// Runs with and without logind: the result is a hold or a reason.
    #[test]
    fn a_hold_succeeds_or_has_a_reason() {
        match crate::awake::hold("a test") {
            Ok(held) => drop(held),
            Err(reason) => assert!(!reason.to_string().is_empty()),
        }
    }
}
