//! Milliseconds per training step and the share of time that steps waited for a batch, one JSON
//! line per model, for comparison with `bench/torch_step.py`.
//!
//! ```text
//! cargo bench -p engine --bench step_lines -- [--threads 2] [--steps 200] [--model cnn]
//! python bench/torch_step.py --threads 2
//! ```

#![expect(clippy::print_stdout, reason = "the lines are the result")]

mod support;

use std::time::Instant;

use protocol::model::Preset;
use protocol::plan::Optimizer;

use support::{BATCH, SGD, Workload};

const WARM_UP: usize = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u32| {
        value(&arguments, name).map_or(default, |text| {
            text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not '{text}'"))
        })
    };
    let (threads, steps) = (number("--threads", 2), number("--steps", 200));
    let adam = Optimizer::Adam { learning_rate: 0.001 };
    let models = [
        ("cnn", Preset::Cnn, SGD),
        ("cnn_adam", Preset::Cnn, adam),
        ("mlp", Preset::Mlp, SGD),
        ("text_bag", Preset::TextBag, SGD),
        ("text_bag_adam", Preset::TextBag, adam),
        ("text_cnn_adam", Preset::TextCnn, adam),
    ];
    for (name, preset, optimizer) in models {
        if value(&arguments, "--model").is_some_and(|wanted| wanted != name) {
            continue;
        }
        let workload = Workload::new(preset, 40);
        let mut times = Vec::new();
        let mut last = Instant::now();
        let trained = workload.train(
            optimizer,
            threads,
            steps + u32::try_from(WARM_UP).unwrap_or(0),
            &mut |_| {
                times.push(last.elapsed().as_secs_f64() * 1e3);
                last = Instant::now();
            },
        );
        times.drain(..WARM_UP);
        times.sort_unstable_by(f64::total_cmp);
        let line = serde_json::json!({
            "model": name,
            "parameters": workload.base.len(),
            "batch_size": BATCH,
            "threads": threads,
            "steps": times.len(),
            "milliseconds": rounded(times[times.len() / 2]),
            "milliseconds_fastest_tenth": rounded(times[times.len() / 10]),
            "wait_share": rounded(trained.wait_seconds / trained.metrics.seconds),
        });
        println!("{line}");
    }
}

fn value<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.get(place + 1).map(String::as_str)
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
