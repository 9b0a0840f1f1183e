//! Scratch: timing.
use data::{Row, Sample};
use engine::*;
use protocol::dataset::SampleShape;
use protocol::model::Preset;
use protocol::plan::*;
fn main() {
    let threads: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let compute = Compute::cpu("x");
    let img = SampleShape::Image { channels: 1, height: 28, width: 28 };
    for (preset, sample, batch) in [
        (Preset::Mlp, img, 64),
        (Preset::TextBag, SampleShape::Text, 64),
        (Preset::TextCnn, SampleShape::Text, 64),
        (Preset::Cnn, img, 64),
    ] {
        let spec = preset.spec(sample, 4).unwrap();
        let mut c = protocol::Chance::new(protocol::Purpose::SyntheticData, 1, 0, 0, 0);
        let rows: Vec<Row> = (0..n * batch)
            .map(|_| {
                let label = c.below(4) as u32;
                Row {
                    label,
                    sample: match sample {
                        SampleShape::Text => Sample::Text(
                            (0..40)
                                .map(|_| format!("w{}", c.below(30000)))
                                .collect::<Vec<_>>()
                                .join(" "),
                        ),
                        SampleShape::Image { .. } => {
                            Sample::Image((0..784).map(|_| c.below(256) as u8).collect())
                        }
                    },
                }
            })
            .collect();
        let base = initialize(&spec, 1).unwrap();
        for optimizer in [
            Optimizer::Sgd { learning_rate: 0.1, momentum: 0.0, weight_decay: 0.0 },
            Optimizer::Adam { learning_rate: 0.001 },
        ] {
            let plan = Plan {
                local_work: LocalWork::Epochs(1),
                batch_size: batch as u32,
                optimizer,
                threads,
            };
            let job = TrainJob {
                spec: &spec,
                plan: &plan,
                seed: 1,
                round: 1,
                partition: 0,
                base: &base,
                rows: &rows,
            };
            let stop = || false;
            let mut p = |_r: StepReport| {};
            let t = std::time::Instant::now();
            let Ended::Done(done) =
                train(&compute, &job, Control { stop: &stop, progress: &mut p, checkpoints: None })
                    .unwrap()
            else {
                panic!()
            };
            println!(
                "{} {:?} {:.3} ms/step in-loop {:.3} wait {:.4}s loss {} hash {}",
                preset.name(),
                optimizer,
                t.elapsed().as_secs_f64() * 1e3 / n as f64,
                done.metrics.seconds * 1e3 / n as f64,
                done.wait_seconds,
                done.metrics.loss,
                protocol::BlobHash::of(&protocol::codec::encode(&done.delta))
            );
        }
    }
}
