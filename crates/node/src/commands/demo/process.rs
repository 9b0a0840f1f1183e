//! One child process of the demo: its lines, its log, its end.

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

/// What a process is in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ProcessRole {
    Coordinator,
    /// From 0.
    Worker(usize),
}

/// Something that a process did.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) role: ProcessRole,
    /// Which start of this role it was: a killed process may still be heard.
    pub(super) start: u32,
    pub(super) what: Said,
}

#[derive(Debug)]
pub(super) enum Said {
    /// A line on its standard output.
    Line(String),
    /// It has ended and said everything.
    Ended,
}

/// A running child. It ends with this process: its standard input closes.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    reader: JoinHandle<()>,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts this program with `arguments`; its log is appended to a file, its lines go to
    /// `heard`.
    pub(super) fn start(
        role: ProcessRole,
        start: u32,
        arguments: &[OsString],
        log: &Path,
        heard: mpsc::UnboundedSender<Heard>,
    ) -> io::Result<Self> {
        let log_file = File::options().create(true).append(true).open(log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            // What a person set for their own cluster is not meant for this one.
            .env_remove("CONSTELLATION_COORDINATOR")
            .env_remove("CONSTELLATION_PIN")
            .env_remove("CONSTELLATION_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // Ctrl-C at the terminal is for the demo, which then ends its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                drop(heard.send(Heard { role, start, what: Said::Line(line) }));
            }
            drop(heard.send(Heard { role, start, what: Said::Ended }));
        });
        Ok(Self { child, reader, pid, log: log.to_owned() })
    }

    /// SIGKILL, at once; its end is heard.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.start_kill()
    }

    /// Waits for what [`Self::kill`] began, so that nothing of it is left.
    pub(super) async fn reap(&mut self) {
        drop(self.child.wait().await);
    }

    /// Asks it to end by closing its input and SIGTERM, and kills it where it doesn't.
    pub(super) async fn stop(mut self, grace: Duration) {
        drop(self.child.stdin.take());
        drop(platform::process::terminate(self.pid));
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "a process of the demo did not end when asked");
            drop(self.child.kill().await);
        }
        self.reader.abort();
    }

    /// The last words in its log, for an error.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }
}
