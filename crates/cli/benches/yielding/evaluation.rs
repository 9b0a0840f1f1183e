//! A trainer that evaluates, under the worker's own rules: the input is read every 50 ms, `stop` is
//! sent, and who hasn't answered within the grace is killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use data::{Row, Sample};
use platform::sensors::{Sensors, SystemSensors};
use protocol::dataset::SampleShape;
use protocol::model::{ModelSpec, Preset};
use protocol::trainer::{EvaluateRequest, InitializeRequest};
use protocol::{RngDomain, SeededRng};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use trainer::{Limits, Trainer, TrainerCommand};

use crate::cluster::StepPhase;
use crate::desk::Desk;
use crate::report::Touch;
use crate::{Arguments, IDLE, watch};

const IMAGE: SampleShape = SampleShape::Image { channels: 1, height: 28, width: 28 };
/// Some ten seconds of work.
const ROWS: usize = 60_000;
/// As a worker does while it trains.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Evaluation {
    runtime: Runtime,
    command: TrainerCommand,
    limits: Limits,
    spec: ModelSpec,
    model: PathBuf,
    shard: PathBuf,
    sensors: SystemSensors,
}

impl Evaluation {
    pub(crate) fn prepare(arguments: &Arguments, folder: &Path) -> anyhow::Result<Self> {
        let runtime = Runtime::new().context("no runtime")?;
        let command = TrainerCommand {
            program: arguments.program.clone(),
            args: ["trainer", "--backend", "cpu"].map(String::from).to_vec(),
        };
        let spec = Preset::Cnn.spec(IMAGE, 10).context("the preset reads no images")?;
        let mut chance = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
        let mut byte = || u8::try_from(chance.index(256)).unwrap_or(0);
        let row = |_| Row { label: 0, sample: Sample::Image((0..784).map(|_| byte()).collect()) };
        let rows: Vec<Row> = (0..ROWS).map(row).collect();
        let shard = folder.join("shard");
        std::fs::write(&shard, data::shard::write(IMAGE, &rows.iter().collect::<Vec<_>>()))?;
        let (model, limits) = (folder.join("model"), Limits::new(arguments.threads));
        let request = InitializeRequest { spec: spec.clone(), seed: 1, output: model.clone() };
        runtime.block_on(async {
            let (mut trainer, _) = Trainer::start(&command, &limits).await?;
            trainer.initialize(request, &CancellationToken::new()).await
        })?;
        let sensors = SystemSensors::new();
        Ok(Self { runtime, command, limits, spec, model, shard, sensors })
    }

    /// One touch, so long after the first progress.
    pub(crate) fn touch(&self, desk: &mut Desk, delay: Duration) -> anyhow::Result<Touch> {
        while self.sensors.input().is_some_and(|since| since < IDLE) {
            std::thread::sleep(LOOK);
        }
        let (mut trainer, _) =
            self.runtime.block_on(Trainer::start(&self.command, &self.limits))?;
        let pid = trainer.pid().context("a trainer without a process")?;
        let request = EvaluateRequest {
            spec: self.spec.clone(),
            model: self.model.clone(),
            shards: vec![self.shard.clone()],
        };
        let (working, works) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                self.runtime.block_on(async {
                    let cancel = CancellationToken::new();
                    // Only the first is waited for.
                    let mut on_progress = |_| working.send(()).unwrap_or_default();
                    let evaluating = trainer.evaluate(request, &mut on_progress, &cancel);
                    let watching = async {
                        while self.sensors.input().is_none_or(|since| since >= IDLE) {
                            tokio::time::sleep(LOOK).await;
                        }
                        cancel.cancel();
                    };
                    tokio::join!(evaluating, watching).0
                })
            });
            works.recv().context("the evaluation ended before it began")?;
            std::thread::sleep(delay);
            let touch = watch::touch(desk, pid)?;
            Ok(Touch { phase: StepPhase::Evaluation, ..touch })
        })
    }
}
