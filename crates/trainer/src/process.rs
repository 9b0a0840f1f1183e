//! Starting and stopping a trainer process.

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::trainer::{Ready, TrainerReply};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::lines::{Line, Lines};
use crate::{Limits, TrainerCommand, TrainerError};

/// Maximum length of a reply in bytes: enough for the confusion matrix of a thousand classes.
const MAXIMUM_REPLY: usize = 16 << 20;
const MAXIMUM_LOG_LINE: usize = 8 << 10;
/// Number of lines of standard error that an error carries.
const LAST_LINES: usize = 20;
/// Time limit for a child that closed its output to exit, and for its last log lines to arrive.
const EXIT_GRACE: Duration = Duration::from_secs(2);
/// Interval at which the memory limit is checked.
const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// glibc tunables. A training step frees tens of megabytes and allocates them again at once. By default
/// glibc returns them to the system in between, which costs a convolution an eighth of its time. An
/// idle trainer exits, which frees everything. Other systems ignore the variable.
const ALLOCATOR_TUNABLES: &str =
    "glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=33554432";

/// Running trainer process. Dropping it kills the process.
pub struct Trainer {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) replies: Lines<ChildStdout>,
    /// Whether a request was sent and its final reply was not received.
    pub(crate) busy: bool,
    pub(crate) limits: Limits,
    log: JoinHandle<()>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Trainer {
    /// Starts the program and waits until it reports that it is ready.
    ///
    /// # Errors
    /// [`TrainerError::Start`] if the program does not exist or is not ready in time,
    /// [`TrainerError::Failed`] if it reports that it can't work on this machine, and the other errors of
    /// a child process.
    pub async fn start(
        command: &TrainerCommand,
        limits: &Limits,
    ) -> Result<(Self, Ready), TrainerError> {
        let failed = |detail: String| TrainerError::Start {
            program: command.program.display().to_string(),
            detail,
        };
        let mut child = spawn(command, limits).map_err(|error| failed(error.to_string()))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(failed("it has no standard output or error".into()));
        };
        let last_lines = Arc::default();
        let mut trainer = Self {
            log: tokio::spawn(forward(stderr, child.id(), Arc::clone(&last_lines))),
            child,
            stdin,
            replies: Lines::new(stdout, MAXIMUM_REPLY),
            busy: false,
            limits: limits.clone(),
            last_lines,
        };
        let Ok(first) = timeout(limits.start_timeout, trainer.reply()).await else {
            let waited = limits.start_timeout.as_secs();
            return Err(failed(format!("it was not ready within {waited} s")));
        };
        match first? {
            TrainerReply::Ready(ready) => Ok((trainer, ready)),
            TrainerReply::Failed { failure, message } => {
                Err(TrainerError::Failed { failure, message })
            }
            other @ (TrainerReply::Progress { .. }
            | TrainerReply::Initialized { .. }
            | TrainerReply::Trained { .. }
            | TrainerReply::Evaluated { .. }
            | TrainerReply::Predicted { .. }
            | TrainerReply::Stopped { .. }) => Err(trainer.unexpected(&other).await),
        }
    }

    /// Process id, or `None` after the process ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether the process is still running. Checks the process itself, not only earlier errors.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Number of computing threads.
    pub fn threads(&self) -> u32 {
        self.limits.threads
    }

    /// Ends the process: closes its input, waits up to `grace`, then kills it.
    pub async fn stop(mut self, grace: Duration) {
        drop(self.stdin.take());
        if timeout(grace, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Completes when the process exceeds its memory limit.
    pub(crate) async fn until_over_limit(pid: Option<u32>, limit: Option<u64>) -> TrainerError {
        let (Some(pid), Some(limit)) = (pid, limit) else { return std::future::pending().await };
        let mut interval = tokio::time::interval(MEMORY_CHECK_INTERVAL);
        loop {
            interval.tick().await;
            match platform::memory::used_by(pid) {
                Some(used) if used > limit => return TrainerError::Memory { used, limit },
                Some(_) | None => {}
            }
        }
    }

    /// Kills the process and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "can't kill the trainer");
        }
    }

    /// Reads the next reply. Cancel-safe while the process is running.
    pub(crate) async fn reply(&mut self) -> Result<TrainerReply, TrainerError> {
        let line = match self.replies.next().await {
            Ok(Some(Line::Complete(line))) => line,
            Ok(Some(Line::Truncated(start))) => return Err(self.invalid_reply(&start).await),
            Ok(None) | Err(_) => return Err(self.exited().await),
        };
        match serde_json::from_str(&line) {
            Ok(reply) => Ok(reply),
            Err(_) => Err(self.invalid_reply(&line).await),
        }
    }

    pub(crate) async fn unexpected(&mut self, reply: &TrainerReply) -> TrainerError {
        self.invalid_reply(&serde_json::to_string(reply).unwrap_or_default()).await
    }

    async fn invalid_reply(&mut self, line: &str) -> TrainerError {
        self.kill().await;
        TrainerError::Protocol(line.chars().take(200).collect())
    }

    pub(crate) async fn exited(&mut self) -> TrainerError {
        let status = if let Ok(status) = timeout(EXIT_GRACE, self.child.wait()).await {
            status.ok()
        } else {
            self.kill().await;
            None
        };
        // A grandchild may keep the pipe open, so waiting for the last log lines has a time limit.
        drop(timeout(EXIT_GRACE, &mut self.log).await);
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        TrainerError::Exited { status, stderr: lines.iter().cloned().collect() }
    }
}

fn spawn(command: &TrainerCommand, limits: &Limits) -> std::io::Result<Child> {
    let mut process = Command::new(&command.program);
    process
        .args(&command.args)
        .env("RAYON_NUM_THREADS", limits.threads.to_string())
        .env("GLIBC_TUNABLES", ALLOCATOR_TUNABLES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    platform::process::in_background(&mut process, limits.nice);
    if let Some(bytes) = limits.memory {
        platform::memory::limit_child(&mut process, bytes);
    }
    let mut process = tokio::process::Command::from(process);
    process.kill_on_drop(true);
    let runtime = tokio::runtime::Handle::current();
    platform::process::on_lasting_thread(move || {
        let _inside = runtime.enter();
        process.spawn()
    })?
}

/// Forwards standard error to the log and keeps the last lines for an error.
async fn forward(stderr: ChildStderr, pid: Option<u32>, last: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = Lines::new(stderr, MAXIMUM_LOG_LINE);
    while let Ok(Some(Line::Complete(line) | Line::Truncated(line))) = lines.next().await {
        tracing::info!(target: "trainer", pid, "{line}");
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}
