//! A coordinator with a job that doesn't end, and a worker that trains it while the machine is
//! idle.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::IDLE;

const POLL_INTERVAL: Duration = Duration::from_micros(500);
/// Longest wait for a phase.
const PHASE_TIMEOUT: Duration = Duration::from_mins(2);
/// The largest preset, which has the longest steps.
const PRESET: &str = "cnn";
/// Read from `CONSTELLATION_DATA_DIR` if it is there, else downloaded.
const DATASET: &str = "fashion_mnist";
const BATCH: u32 = 64;

/// Phase of a trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrainerPhase {
    WarmUp,
    Step,
    Checkpoint,
    Evaluation,
}

pub(crate) struct Cluster {
    coordinator: Child,
    worker: Child,
    folder: PathBuf,
    last: Arc<Mutex<Value>>,
}

impl Cluster {
    pub(crate) fn start(program: &Path, folder: &Path, threads: u32) -> anyhow::Result<Self> {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(folder).env("HOME", folder);
            command.env_remove("WAYLAND_DISPLAY");
            command.env("CONSTELLATION_IDLE_SECONDS", IDLE.as_secs().to_string());
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            command
        };
        let mut coordinator = run(&[
            "coordinator",
            "--data-dir",
            "coordinator",
            "--listen",
            "127.0.0.1:0",
            "--no-discovery",
            "--backend",
            "cpu",
            "--lease-timeout",
            "2",
            "--json",
            "--exit-with-parent",
        ])
        .spawn()
        .with_context(|| format!("can't start {}", program.display()))?;
        let mut lines = lines(&mut coordinator)?;
        let listening: Value =
            serde_json::from_str(&lines.next().context("the coordinator ended without output")??)?;
        std::thread::spawn(move || lines.for_each(drop));
        let result = |arguments: &[&str]| -> anyhow::Result<Value> {
            let arguments = [arguments, &["--data-dir", "coordinator", "--json"]].concat();
            let output = run(&arguments).output()?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{arguments:?}: {stderr}");
            Ok(serde_json::from_slice(&output.stdout)?)
        };
        let job = format!(
            "name = 'yielding'\nmodel_type = 'vision'\ndataset = '{DATASET}'\n\
             [model]\npreset = '{PRESET}'\n[data]\npartitions = 1\n\
             [plan]\nlocal_steps = 100000\nbatch_size = {BATCH}\nthreads = {threads}\n\
             [run]\nrounds = 1000\n"
        );
        std::fs::write(folder.join("job.toml"), job)?;
        result(&["job", "submit", "job.toml"])?;
        let code = result(&["join-code", "create"])?;
        let link = code["link"].as_str().context("a join code without a link")?;
        let url = listening["url"].as_str().context("a coordinator without a URL")?;
        let mut worker = run(&[
            "worker",
            "--data-dir",
            "worker",
            "--coordinator",
            url,
            "--join",
            link,
            "--backend",
            "cpu",
            "--json",
            "--exit-with-parent",
        ])
        .spawn()?;
        let lines = self::lines(&mut worker)?;
        let last = Arc::new(Mutex::new(Value::Null));
        let writer = Arc::clone(&last);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Ok(status) = serde_json::from_str(&line) else { continue };
                *writer.lock().unwrap_or_else(PoisonError::into_inner) = status;
            }
        });
        Ok(Self { coordinator, worker, folder: folder.to_owned(), last })
    }

    /// Waits until the trainer is in this phase. Returns its process id.
    pub(crate) fn until(&mut self, phase: TrainerPhase) -> anyhow::Result<u32> {
        let since = Instant::now();
        loop {
            if let Some(exit) = self.worker.try_wait()? {
                bail!("the worker ended with {exit}");
            }
            if let Some(trainer) = self.trainer()
                && self.phase(trainer) == Some(phase)
            {
                return Ok(trainer);
            }
            if since.elapsed() > PHASE_TIMEOUT {
                bail!(
                    "no {phase:?} within {} s; the worker's last status is {}",
                    PHASE_TIMEOUT.as_secs(),
                    self.status()
                );
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Current phase of this trainer; `None` if it has ended.
    pub(crate) fn phase(&self, trainer: u32) -> Option<TrainerPhase> {
        std::fs::metadata(format!("/proc/{trainer}")).ok()?;
        let status = self.status();
        let state = status["state"].as_str()?;
        match state {
            "training" if status["step"].as_u64() > Some(0) => {}
            "fetching" | "training" => return Some(TrainerPhase::WarmUp),
            _ => return None,
        }
        let leases = std::fs::read_dir(self.folder.join("worker/leases")).ok()?;
        let writes = leases.flatten().any(|lease| lease.path().join("checkpoint.partial").exists());
        Some(if writes { TrainerPhase::Checkpoint } else { TrainerPhase::Step })
    }

    /// Process id of the worker's child, if it has one.
    fn trainer(&self) -> Option<u32> {
        let pid = self.worker.id();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        tasks.flatten().find_map(|task| {
            let children = std::fs::read_to_string(task.path().join("children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
    }

    fn status(&self) -> Value {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops both gracefully.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        for process in [&mut self.worker, &mut self.coordinator] {
            drop(process.stdin.take());
            process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in [&mut self.worker, &mut self.coordinator] {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

type Lines = std::io::Lines<BufReader<std::process::ChildStdout>>;

fn lines(process: &mut Child) -> anyhow::Result<Lines> {
    let stdout = process.stdout.take().context("a process without standard output")?;
    Ok(BufReader::new(stdout).lines())
}
