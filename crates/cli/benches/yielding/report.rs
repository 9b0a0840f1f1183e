//! Results, as a table and as a line of JSON.

use std::time::Duration;

use anyhow::ensure;
use node::output;
use serde_json::json;

use crate::cluster::TrainerPhase;

/// Limit of the 99th percentile, which docs/design/idle-policy.md promises.
const BUDGET: Duration = Duration::from_millis(100);

/// One touch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touch {
    /// Phase of the trainer when the touch happened.
    pub(crate) phase: TrainerPhase,
    /// Time until the trainer had stopped.
    pub(crate) waited: Duration,
    /// Whether the process ended: it was killed, or ended by itself.
    pub(crate) ended: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Touch>);

impl Report {
    pub(crate) fn add(&mut self, touch: Touch) {
        self.0.push(touch);
    }

    /// Prints the progress every 25 touches: a run takes half an hour.
    pub(crate) fn progress(&self, done: usize, total: usize) {
        if done.is_multiple_of(25) {
            let worst = self.0.iter().map(|touch| touch.waited).max().unwrap_or_default();
            output::note(format_args!(
                "{done} of {total} touches, the slowest {}",
                milliseconds(worst)
            ));
        }
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        output::line("phase        touches   p50 ms   p99 ms   max ms   ended")?;
        let mut phases = Vec::new();
        for phase in [
            TrainerPhase::WarmUp,
            TrainerPhase::Step,
            TrainerPhase::Checkpoint,
            TrainerPhase::Evaluation,
        ] {
            let name = serde_json::to_value(phase)?;
            let touches = self.0.iter().filter(|touch| touch.phase == phase).copied().collect();
            phases.push(self::line(name.as_str().unwrap_or_default(), touches)?);
        }
        let all = line("all", self.0.clone())?;
        let worst = all["p99_ms"].as_f64().unwrap_or(f64::INFINITY);
        output::line(json!({ "all": all, "phases": phases }).to_string())?;
        let budget = BUDGET.as_secs_f64() * 1e3;
        ensure!(worst < budget, "the 99th percentile of {worst} ms is not below {budget} ms");
        Ok(())
    }
}

fn line(name: &str, mut touches: Vec<Touch>) -> anyhow::Result<serde_json::Value> {
    touches.sort_by_key(|touch| touch.waited);
    let ms = |percent: usize| {
        let index = (touches.len() * percent).div_ceil(100).saturating_sub(1);
        let waited = touches.get(index).map_or(Duration::ZERO, |touch| touch.waited);
        (waited.as_secs_f64() * 1e4).round() / 10.0
    };
    let (count, ended) = (touches.len(), touches.iter().filter(|touch| touch.ended).count());
    let [p50, p99, max] = [50, 99, 100].map(ms);
    output::line(format!("{name:<12} {count:>7} {p50:>8.1} {p99:>8.1} {max:>8.1} {ended:>7}"))?;
    Ok(json!({ "phase": name, "touches": count, "p50_ms": p50, "p99_ms": p99, "max_ms": max,
        "ended": ended }))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Deterministic sequence of delays before touches, spread evenly.
#[derive(Debug, Default)]
pub(crate) struct DelaySequence(u64);

impl DelaySequence {
    /// Returns a number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // Multiples of the golden ratio fill an interval evenly.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}
