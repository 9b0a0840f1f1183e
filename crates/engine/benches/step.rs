//! The engine's training loop compared with a bare burn loop of the same model, batch and
//! optimizer. The engine's additions (prefetching, optimizers on slices, checks) may cost at most 5
//! %.
//!
//! ```text
//! cargo bench -p engine --bench step
//! ```
//!
//! The bare loop has its batches in memory and uses burn's own modules and optimizer. For
//! `text_bag` its table is a parameter on the device, which the engine's host embedding replaces.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use criterion::{Criterion, criterion_group, criterion_main};
use engine::StepReport;
use protocol::model::Preset;

use support::{BATCH, SGD, Workload};

const THREADS: u32 = 2;
const IDS: usize = 60;
/// Steps before the measurement, which allocate memory from the system.
const WARM: u32 = 3;

fn steps(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let cnn = Cnn {
        first: conv(1, 32, &device),
        second: conv(32, 64, &device),
        pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        dense: LinearConfig::new(64 * 49, 512).init(&device),
        out: LinearConfig::new(512, 10).init(&device),
    };
    let mlp = Mlp {
        first: LinearConfig::new(784, 200).init(&device),
        second: LinearConfig::new(200, 200).init(&device),
        out: LinearConfig::new(200, 10).init(&device),
    };
    let text_bag = TextBag {
        table: EmbeddingConfig::new(1 << 17, 8).init(&device),
        out: LinearConfig::new(8, 4).init(&device),
    };
    compare(criterion, Preset::Cnn, &device, &cnn, |net, batch| net.forward(batch.image()));
    compare(criterion, Preset::Mlp, &device, &mlp, |net, batch| net.forward(batch.image()));
    compare(criterion, Preset::TextBag, &device, &text_bag, |net, batch| net.forward(batch.ids()));
}

fn compare<M: Module + Sync>(
    criterion: &mut Criterion,
    preset: Preset,
    device: &Device,
    net: &M,
    forward: impl Fn(&M, &Batch) -> Tensor<2> + Send + Sync + Copy,
) {
    let mut group = criterion.benchmark_group(preset.name());
    group.sample_size(20).measurement_time(Duration::from_secs(20));
    let workload = Workload::new(preset, 40);
    group.bench_function("engine", |bencher| {
        bencher.iter_custom(|steps| {
            let steps = u32::try_from(steps).unwrap_or(u32::MAX);
            let (mut begun, mut ended) = (Instant::now(), Instant::now());
            let mut watch = |report: StepReport| {
                ended = Instant::now();
                if report.step == u64::from(WARM) {
                    begun = ended;
                }
            };
            black_box(workload.train(SGD, THREADS, steps + WARM, &mut watch));
            ended - begun
        });
    });
    let classes = if preset == Preset::TextBag { 4 } else { 10 };
    group.bench_function("burn", |bencher| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS as usize).build();
        let pool = pool.unwrap_or_else(|error| panic!("no threads: {error}"));
        bencher.iter_custom(|steps| {
            let net = net.clone();
            pool.install(|| bare(net, steps, classes, device, forward))
        });
    });
    group.finish();
}

fn bare<M: Module>(
    mut net: M,
    steps: u64,
    classes: i64,
    device: &Device,
    forward: impl Fn(&M, &Batch) -> Tensor<2>,
) -> Duration {
    let batch = Batch::new(classes, device);
    let loss_of = CrossEntropyLossConfig::new().init(device);
    let mut optimizer = SgdConfig::new().init();
    let mut begun = Instant::now();
    for step in 0..steps + u64::from(WARM) {
        if step == u64::from(WARM) {
            begun = Instant::now();
        }
        let targets = Tensor::from_data(batch.targets.clone(), device);
        let loss = loss_of.forward(forward(&net, &batch), targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(0.01, net, gradients);
        black_box(loss.into_scalar::<f32>());
    }
    begun.elapsed()
}

struct Batch {
    pixels: TensorData,
    ids: TensorData,
    targets: TensorData,
    device: Device,
}

impl Batch {
    fn new(classes: i64, device: &Device) -> Self {
        let pixels = (0..BATCH * 784).map(|place| (place * 7919 % 1000) as f32 / 1000.0).collect();
        let id = |place: i64| place * 7919 % 131_071 + 1;
        let ids: Vec<i64> = (0..).take(BATCH * IDS).map(id).collect();
        let targets: Vec<i64> = (0..classes).cycle().take(BATCH).collect();
        Self {
            pixels: TensorData::new::<f32, _>(pixels, [BATCH, 1, 28, 28]),
            ids: TensorData::new(ids, [BATCH, IDS]),
            targets: TensorData::new(targets, [BATCH]),
            device: device.clone(),
        }
    }

    fn image(&self) -> Tensor<4> {
        Tensor::from_data(self.pixels.clone(), &self.device)
    }

    fn ids(&self) -> Tensor<2, Int> {
        Tensor::from_data(self.ids.clone(), &self.device)
    }
}

#[derive(Module, Debug)]
struct Cnn {
    first: Conv2d,
    second: Conv2d,
    pool: MaxPool2d,
    dense: Linear,
    out: Linear,
}

fn conv(from: usize, to: usize, device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(2, 2, 2, 2);
    Conv2dConfig::new([from, to], [5, 5]).with_padding(padding).init(device)
}

impl Cnn {
    fn forward(&self, image: Tensor<4>) -> Tensor<2> {
        let first = self.pool.forward(relu(self.first.forward(image)));
        let second = self.pool.forward(relu(self.second.forward(first)));
        self.out.forward(relu(self.dense.forward(second.flatten(1, 3))))
    }
}

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    second: Linear,
    out: Linear,
}

impl Mlp {
    fn forward(&self, image: Tensor<4>) -> Tensor<2> {
        let first = relu(self.first.forward(image.flatten(1, 3)));
        self.out.forward(relu(self.second.forward(first)))
    }
}

#[derive(Module, Debug)]
struct TextBag {
    table: Embedding,
    out: Linear,
}

impl TextBag {
    fn forward(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        let bag = self.table.forward(ids).sum_dim(1).div_scalar((IDS as f32).sqrt());
        self.out.forward(bag.squeeze_dim::<2>(1))
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
