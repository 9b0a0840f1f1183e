//! Starting a trainer and ending it.

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

/// Room for the confusion matrix of a thousand classes; beyond it the child is not sane.
const LONGEST_REPLY: usize = 16 << 20;
const LONGEST_LOG_LINE: usize = 8 << 10;
/// Lines of standard error that an error carries.
const LAST_LINES: usize = 20;
/// For a child that closed its output to end, and for its last words to arrive.
const EXIT_GRACE: Duration = Duration::from_secs(2);
/// Between two looks at the memory that it takes.
const MEMORY_LOOK: Duration = Duration::from_millis(100);
/// A step frees tens of megabytes and takes them again at once. glibc would give them back to the
/// system in between, which costs a convolution an eighth of its time; a trainer that has nothing to
/// do ends, and gives back all. Other systems don't read it.
const ALLOCATOR: &str =
    "glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=33554432";

/// A running trainer. Dropping it kills it.
pub struct Trainer {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) replies: Lines<ChildStdout>,
    /// A request was sent and its end not seen.
    pub(crate) busy: bool,
    pub(crate) limits: Limits,
    log: JoinHandle<()>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Trainer {
    /// Starts the program and waits until it says that it can work.
    ///
    /// # Errors
    /// [`TrainerError::Start`] where there is no such program or it isn't ready in time,
    /// [`TrainerError::Failed`] where it says that it can't work here, and what else a child does.
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
            replies: Lines::new(stdout, LONGEST_REPLY),
            busy: false,
            limits: limits.clone(),
            last_lines,
        };
        let Ok(first) = timeout(limits.start_timeout, trainer.reply()).await else {
            let waited = limits.start_timeout.as_secs();
            return Err(failed(format!("it wasn't ready within {waited} s")));
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

    /// None when it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it still runs; false also where nobody has asked it anything since it died.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Threads it computes with.
    pub fn threads(&self) -> u32 {
        self.limits.threads
    }

    /// Ends it: closes its input, waits at most `grace`, then kills.
    pub async fn stop(mut self, grace: Duration) {
        drop(self.stdin.take());
        if timeout(grace, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends when it takes more memory than it may; the error says how much.
    pub(crate) async fn greedy(pid: Option<u32>, limit: Option<u64>) -> TrainerError {
        let (Some(pid), Some(limit)) = (pid, limit) else { return std::future::pending().await };
        let mut looks = tokio::time::interval(MEMORY_LOOK);
        loop {
            looks.tick().await;
            match platform::memory::taken(pid) {
                Some(taken) if taken > limit => return TrainerError::Memory { taken, limit },
                Some(_) | None => {}
            }
        }
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "could not kill the trainer");
        }
    }

    /// The next reply. Cancel-safe while the child lives.
    pub(crate) async fn reply(&mut self) -> Result<TrainerReply, TrainerError> {
        let line = match self.replies.next().await {
            Ok(Some(Line::Whole(line))) => line,
            Ok(Some(Line::Cut(start))) => return Err(self.misunderstood(&start).await),
            Ok(None) | Err(_) => return Err(self.exited().await),
        };
        match serde_json::from_str(&line) {
            Ok(reply) => Ok(reply),
            Err(_) => Err(self.misunderstood(&line).await),
        }
    }

    pub(crate) async fn unexpected(&mut self, reply: &TrainerReply) -> TrainerError {
        self.misunderstood(&serde_json::to_string(reply).unwrap_or_default()).await
    }

    async fn misunderstood(&mut self, line: &str) -> TrainerError {
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
        // A grandchild may hold the pipe open: its last words are not worth waiting for.
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
        .env("GLIBC_TUNABLES", ALLOCATOR)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    platform::process::in_background(&mut process, limits.nice);
    if let Some(bytes) = limits.memory {
        platform::memory::bound(&mut process, bytes);
    }
    let mut process = tokio::process::Command::from(process);
    process.kill_on_drop(true);
    let runtime = tokio::runtime::Handle::current();
    platform::process::on_lasting_thread(move || {
        let _inside = runtime.enter();
        process.spawn()
    })?
}

/// Standard error into our log, the last lines kept for an error.
async fn forward(stderr: ChildStderr, pid: Option<u32>, last: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = Lines::new(stderr, LONGEST_LOG_LINE);
    while let Ok(Some(Line::Whole(line) | Line::Cut(line))) = lines.next().await {
        tracing::info!(target: "trainer", pid, "{line}");
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}
