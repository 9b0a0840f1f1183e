//! A trainer that evaluates under the worker's rules: the input is read every 50 ms, then `stop` is
//! sent, and a trainer that does not respond within the grace period is killed.

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

use crate::cluster::TrainerPhase;
use crate::pointer::Pointer;
use crate::report::Touch;
use crate::{Arguments, IDLE, watch};

const IMAGE: SampleShape = SampleShape::Image { channels: 1, height: 28, width: 28 };
/// About ten seconds of work.
const ROWS: usize = 60_000;
/// The polling interval of a worker during training.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

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
        let mut rng = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
        let mut byte = || u8::try_from(rng.index(256)).unwrap_or(0);
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

    /// One touch, `delay` after the first progress message.
    pub(crate) fn measure(&self, pointer: &mut Pointer, delay: Duration) -> anyhow::Result<Touch> {
        while self.sensors.input().is_some_and(|since| since < IDLE) {
            std::thread::sleep(POLL_INTERVAL);
        }
        let (mut trainer, _) =
            self.runtime.block_on(Trainer::start(&self.command, &self.limits))?;
        let pid = trainer.pid().context("a trainer without a process")?;
        let request = EvaluateRequest {
            spec: self.spec.clone(),
            model: self.model.clone(),
            shards: vec![self.shard.clone()],
        };
        let (started_sender, started) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                self.runtime.block_on(async {
                    let cancel = CancellationToken::new();
                    // Only the first message is received.
                    let mut on_progress = |_| started_sender.send(()).unwrap_or_default();
                    let evaluating = trainer.evaluate(request, &mut on_progress, &cancel);
                    let stop_on_input = async {
                        while self.sensors.input().is_none_or(|since| since >= IDLE) {
                            tokio::time::sleep(POLL_INTERVAL).await;
                        }
                        cancel.cancel();
                    };
                    tokio::join!(evaluating, stop_on_input).0
                })
            });
            started.recv().context("the evaluation ended without progress")?;
            std::thread::sleep(delay);
            let touch = watch::measure(pointer, pid)?;
            Ok(Touch { phase: TrainerPhase::Evaluation, ..touch })
        })
    }
}
