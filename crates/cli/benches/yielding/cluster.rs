//! A coordinator with a job that doesn't end, and a worker that trains it while nobody is there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::IDLE;

const LOOK: Duration = Duration::from_micros(500);
/// For a phase to come.
const PATIENCE: Duration = Duration::from_mins(2);
/// The largest preset, and the one with the longest steps.
const PRESET: &str = "cnn";
/// Found below `CONSTELLATION_DATA_DIR`, else downloaded.
const DATASET: &str = "fashion_mnist";
const BATCH: u32 = 64;

/// What a trainer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepPhase {
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
        let opening: Value = serde_json::from_str(&lines.next().context("no coordinator")??)?;
        std::thread::spawn(move || lines.for_each(drop));
        let result = |arguments: &[&str]| -> anyhow::Result<Value> {
            let arguments = [arguments, &["--data-dir", "coordinator", "--json"]].concat();
            let output = run(&arguments).output()?;
            let words = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{arguments:?}: {words}");
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
        let url = opening["url"].as_str().context("a coordinator without a URL")?;
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
        let heard = Arc::clone(&last);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Ok(said) = serde_json::from_str(&line) else { continue };
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = said;
            }
        });
        Ok(Self { coordinator, worker, folder: folder.to_owned(), last })
    }

    /// Waits until the trainer does this; its process.
    pub(crate) fn until(&mut self, phase: StepPhase) -> anyhow::Result<u32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.worker.try_wait()? {
                bail!("the worker ended with {status}");
            }
            if let Some(trainer) = self.trainer()
                && self.phase(trainer) == Some(phase)
            {
                return Ok(trainer);
            }
            if since.elapsed() > PATIENCE {
                bail!(
                    "no {phase:?} within {} s; the worker says {}",
                    PATIENCE.as_secs(),
                    self.said()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What this trainer does now; none where it is gone.
    pub(crate) fn phase(&self, trainer: u32) -> Option<StepPhase> {
        std::fs::metadata(format!("/proc/{trainer}")).ok()?;
        let said = self.said();
        let state = said["state"].as_str()?;
        match state {
            "training" if said["step"].as_u64() > Some(0) => {}
            "fetching" | "training" => return Some(StepPhase::WarmUp),
            _ => return None,
        }
        let desks = std::fs::read_dir(self.folder.join("worker/leases")).ok()?;
        let writes = desks.flatten().any(|desk| desk.path().join("checkpoint.partial").exists());
        Some(if writes { StepPhase::Checkpoint } else { StepPhase::Step })
    }

    /// The worker's child, where it has one.
    fn trainer(&self) -> Option<u32> {
        let pid = self.worker.id();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        tasks.flatten().find_map(|task| {
            let children = std::fs::read_to_string(task.path().join("children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        })
    }

    fn said(&self) -> Value {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends both in an orderly way.
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
