//! Linux: an inhibitor of systemd-logind, held by a child `systemd-inhibit`. It asks logind over
//! D-Bus, so that this process needn't (decision 0007).

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "systemd-inhibit";
/// What it runs while it inhibits: says so, and ends with its input, which ends with this process.
const SHELL: &str = "echo held && exec cat";
/// Of its complaint.
const LONGEST_WORDS: u64 = 4096;

#[derive(Debug)]
pub(super) struct Hold(Child);

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It may have ended by itself; either way it is waited for.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(super) fn hold(why: &str) -> Result<Hold, String> {
    by(Command::new(PROGRAM), why)
}

fn by(mut inhibit: Command, why: &str) -> Result<Hold, String> {
    let child = inhibit
        .args(["--what=idle", "--mode=block", "--who=Constellation", &format!("--why={why}")])
        .args(["sh", "-c", SHELL])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!("there is no {PROGRAM}, which asks systemd for it")
        } else {
            format!("{PROGRAM}: {error}")
        }
    })?;
    let mut hold = Hold(child);
    let mut said = String::new();
    if let Some(stdout) = hold.0.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(|error| error.to_string())?;
    }
    if said.trim() == "held" {
        return Ok(hold);
    }
    let mut complaint = String::new();
    if let Some(stderr) = hold.0.stderr.take() {
        stderr.take(LONGEST_WORDS).read_to_string(&mut complaint).ok();
    }
    Err(match complaint.trim() {
        "" => format!("{PROGRAM} ended without a word"),
        complaint => complaint.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A stand-in for `systemd-inhibit`: this machine may have no logind.
    fn stand_in(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "stand-in"]);
        shell
    }

    #[test]
    fn it_holds_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let asked = folder.path().join("asked");
        let script = format!("echo \"$@\" >{}; shift 4; exec \"$@\"", asked.display());
        let mut held = by(stand_in(&script), "a job runs").unwrap();
        assert!(held.0.try_wait().unwrap().is_none());
        let asked = fs::read_to_string(asked).unwrap();
        assert!(asked.starts_with("--what=idle --mode=block"), "{asked}");
        assert!(asked.contains("--why=a job runs"), "{asked}");
        let pid = held.0.id();
        drop(held);
        assert!(!crate::process::is_alive(pid));
    }

    #[test]
    fn whoever_refuses_is_quoted() {
        assert_eq!(by(stand_in("echo 'no bus' >&2; exit 1"), "x").unwrap_err(), "no bus");
        assert!(by(stand_in("exit 0"), "x").unwrap_err().ends_with("without a word"));
        let reason = by(Command::new("/nowhere/systemd-inhibit"), "x").unwrap_err();
        assert!(reason.starts_with("there is no"), "{reason}");
    }

    /// With or without logind here: it holds, or it says why not.
    #[test]
    fn this_machine_answers() {
        match crate::awake::hold("a test") {
            Ok(held) => drop(held),
            Err(reason) => assert!(!reason.to_string().is_empty()),
        }
    }
}
