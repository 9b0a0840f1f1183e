//! What tests of the command line share.

#![allow(dead_code, reason = "each of the tests takes what it needs")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The command, in `folder`, with nothing of this machine's own settings or clusters.
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

/// A process that ends with its standard input, and says what it does in lines of JSON.
pub(crate) struct Node {
    process: Child,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

impl Node {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = [arguments, &["--json", "--exit-with-parent"]].concat();
        Self::start_as(&mut constellation(folder, &arguments))
    }

    /// From a command that says all of this.
    pub(crate) fn start_as(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next thing that it says of this state; it ends before the test waits for good.
    pub(crate) fn until(&mut self, state: &str) -> Value {
        for line in self.lines.by_ref() {
            let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if said["state"] == state {
                return said;
            }
        }
        panic!("it ended without being {state}")
    }

    /// Its exit code, once it ended by itself.
    pub(crate) fn ended(mut self) -> Option<i32> {
        assert!(self.lines.by_ref().all(|line| line.is_ok()));
        self.process.wait().unwrap().code()
    }

    pub(crate) fn stop(mut self) -> Option<i32> {
        drop(self.process.stdin.take());
        self.ended()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What a command answers in JSON; it asks the coordinator of the folder `coordinator`.
pub(crate) fn result(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_slice(&said(folder, arguments)).unwrap()
}

/// The last of the lines of JSON that a command says, of the same coordinator.
pub(crate) fn last_line(folder: &Path, arguments: &[&str]) -> Value {
    let lines = String::from_utf8(said(folder, arguments)).unwrap();
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}

fn said(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let arguments = [arguments, &["--data-dir", "coordinator", "--json"]].concat();
    let output = constellation(folder, &arguments).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {words}");
    output.stdout
}
