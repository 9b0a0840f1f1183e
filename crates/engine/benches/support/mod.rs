//! Workloads of the benchmarks: presets in the sizes of `bench/torch_step.py`.

use data::{Row, Sample};
use engine::{
    ComputeDevice, Control, StepReport, TrainJob, Trained, TrainingEnd, initialize, train,
};
use protocol::dataset::SampleShape;
use protocol::model::{ModelSpec, Preset};
use protocol::plan::{LocalWork, Optimizer, Plan};
use protocol::{RngDomain, SeededRng};

pub(crate) const BATCH: usize = 64;
pub(crate) const SGD: Optimizer =
    Optimizer::Sgd { learning_rate: 0.01, momentum: 0.0, weight_decay: 0.0 };

/// Model with rows that it reads: random pixels, or texts of 60 ids.
pub(crate) struct Workload {
    pub spec: ModelSpec,
    pub base: Vec<f32>,
    pub rows: Vec<Row>,
}

impl Workload {
    pub(crate) fn new(preset: Preset, batches: usize) -> Self {
        let image = SampleShape::Image { channels: 1, height: 28, width: 28 };
        let (sample, classes) = match preset {
            Preset::Mlp | Preset::Cnn => (image, 10),
            Preset::TextBag | Preset::TextCnn => (SampleShape::Text, 4),
        };
        let spec = preset.spec(sample, classes).expect("the preset reads these rows");
        let base = initialize(&spec, 1).expect("a preset builds");
        let mut rng = SeededRng::new(RngDomain::SyntheticData, 1, 0, 0, 0);
        let row = |_| {
            let label = u32::try_from(rng.below(u64::from(classes))).unwrap_or_default();
            let sample = match sample {
                SampleShape::Text => {
                    let word = |_| format!("word{} ", rng.index(60_000));
                    Sample::Text((0..31).map(word).collect())
                }
                SampleShape::Image { .. } => Sample::Image(
                    (0..784).map(|_| u8::try_from(rng.index(256)).unwrap_or_default()).collect(),
                ),
            };
            Row { label, sample }
        };
        Self { spec, base, rows: (0..batches * BATCH).map(row).collect() }
    }

    /// Trains this many steps with the engine.
    pub(crate) fn train(
        &self,
        optimizer: Optimizer,
        threads: u32,
        steps: u32,
        progress: &mut (dyn FnMut(StepReport) + Send),
    ) -> Trained {
        let batch_size = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let plan = Plan { local_work: LocalWork::Steps(steps), batch_size, optimizer, threads };
        let job = TrainJob {
            spec: &self.spec,
            plan: &plan,
            seed: 1,
            round: 1,
            partition: 0,
            base: &self.base,
            rows: &self.rows,
        };
        let control = Control { stop: &|| false, progress, checkpoints: None };
        match train(&ComputeDevice::cpu("a benchmark"), &job, control) {
            Ok(TrainingEnd::Done(trained)) => trained,
            other => panic!("the benchmark's lease did not end: {other:?}"),
        }
    }
}
