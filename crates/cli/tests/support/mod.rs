//! Shared helpers of the command-line tests.

#![allow(dead_code, reason = "each test uses some of these")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The command, run in `folder`, isolated from this machine's own settings and clusters.
pub(crate) fn constellation(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_constellation"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("CONSTELLATION_COORDINATOR")
        .env_remove("CONSTELLATION_TOKEN");
    command
}

/// A `constellation` process that stops when its standard input closes and prints JSON lines.
pub(crate) struct Node {
    process: Child,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Node {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = [arguments, &["--json", "--exit-with-parent"]].concat();
        Self::start_as(&mut constellation(folder, &arguments))
    }

    /// Starts a command that already has the flags `--json --exit-with-parent`.
    pub(crate) fn start_as(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Returns the next line with this state. Panics if the process ends without one.
    pub(crate) fn until(&mut self, state: &str) -> Value {
        for line in self.lines.by_ref() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line["state"] == state {
                return line;
            }
        }
        panic!("the process ended without the state {state}")
    }

    /// Waits until the process ends by itself. Returns its exit code.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        assert!(self.lines.by_ref().all(|line| line.is_ok()));
        self.process.wait().unwrap().code()
    }

    pub(crate) fn stop(mut self) -> Option<i32> {
        drop(self.process.stdin.take());
        self.exit_code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// JSON output of a command for the coordinator in the folder `coordinator`.
pub(crate) fn result(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_slice(&stdout(folder, arguments)).unwrap()
}

/// Last JSON line that a command prints, for the same coordinator.
pub(crate) fn last_line(folder: &Path, arguments: &[&str]) -> Value {
    let lines = String::from_utf8(stdout(folder, arguments)).unwrap();
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}

fn stdout(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let arguments = [arguments, &["--data-dir", "coordinator", "--json"]].concat();
    let output = constellation(folder, &arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    output.stdout
}
