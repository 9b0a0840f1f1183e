//! One child process of a local cluster: reads its output lines, appends its log to a file, stops it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Role of a process in a local cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ProcessRole {
    Coordinator,
    /// Worker number, from 0.
    Worker(usize),
}

/// An event of a process: an output line or its exit.
#[derive(Debug)]
pub(crate) struct ProcessEvent {
    pub(crate) role: ProcessRole,
    /// Number of this start of the role: events of a killed process can arrive after its successor has started.
    pub(crate) start: u32,
    pub(crate) output: ProcessOutput,
}

#[derive(Debug)]
pub(crate) enum ProcessOutput {
    /// A line on its standard output.
    Line(String),
    /// It has exited, and all of its output lines have been delivered.
    Ended,
}

/// A running child process. It exits with this process, because its standard input is closed then.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    reader: JoinHandle<()>,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts this program with `arguments`. Appends its standard error to the file `log` and sends its output lines
    /// to `events`.
    pub(crate) fn start(
        role: ProcessRole,
        start: u32,
        arguments: &[OsString],
        log: &Path,
        events: mpsc::UnboundedSender<ProcessEvent>,
    ) -> io::Result<Self> {
        let log_file = File::options().create(true).append(true).open(log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            // These variables point to the user's own cluster, not to this one.
            .env_remove("CONSTELLATION_COORDINATOR")
            .env_remove("CONSTELLATION_PIN")
            .env_remove("CONSTELLATION_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // A process group of its own: Ctrl-C reaches the parent alone, which then stops its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                drop(events.send(ProcessEvent { role, start, output: ProcessOutput::Line(line) }));
            }
            drop(events.send(ProcessEvent { role, start, output: ProcessOutput::Ended }));
        });
        Ok(Self { child, reader, pid, log: log.to_owned() })
    }

    /// Sends SIGKILL. The exit is reported as an event.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.start_kill()
    }

    /// Waits for the exit, so that no zombie process remains.
    pub(crate) async fn reap(&mut self) {
        drop(self.child.wait().await);
    }

    /// Closes the child's input and sends SIGTERM; kills it if it has not exited after `stop_timeout`.
    pub(crate) async fn stop(mut self, stop_timeout: Duration) {
        drop(self.child.stdin.take());
        drop(platform::process::terminate(self.pid));
        if tokio::time::timeout(stop_timeout, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "a process did not exit after SIGTERM and was killed");
            drop(self.child.kill().await);
        }
        self.reader.abort();
    }

    /// Last three lines of its log, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }
}
