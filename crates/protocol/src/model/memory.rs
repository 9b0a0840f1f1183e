//! How much memory a lease takes, known before any of it is fetched.

use super::shape::{Shape, SpecError};
use super::spec::{LayerSpec, ModelSpec};
use crate::plan::{Optimizer, Plan};

/// Bytes of a trainer that has no work: its code, its threads' stacks, what its allocator keeps.
const PROCESS: u64 = 64 << 20;
/// Bytes of an f32.
const VALUE: u64 = 4;
/// Copies of the parameters beside the optimizer's moments: the round's base, the network, its
/// gradients, and what a step makes of them.
const COPIES: u64 = 4;
/// Vectors that a checkpoint holds at once, each as large as what is in it: read from the device,
/// as the file's bytes, and those sealed.
const CHECKPOINT: u64 = 3;
/// What a layer gives, its gradient, and what either's computing takes meanwhile.
const PASSES: u64 = 4;
/// Batches that are made ahead of the step (`engine`'s prefetch), and a floor for small ones.
const AHEAD: u64 = 3;
const AHEAD_BYTES: u64 = 12 << 20;
/// Rows in memory are their bytes and an entry for each; the shard is read whole beside them.
const ROWS: u64 = 3;

impl ModelSpec {
    /// Bytes that a trainer needs for a lease of this plan, `shard_bytes` of rows included: an upper
    /// estimate for f32 on the CPU, held against real trainers by `crates/cli/tests/memory.rs`. What
    /// a GPU's driver takes beside it isn't counted.
    ///
    /// # Errors
    /// Where the spec can't be built.
    pub fn training_bytes(&self, plan: &Plan, shard_bytes: u64) -> Result<u64, SpecError> {
        let parameters = self.layout()?.parameters as u64;
        let moments = plan.optimizer.moments();
        let vectors = COPIES + moments + CHECKPOINT * (1 + moments);
        let mut input = self.input_shape()?;
        let batch = u64::from(plan.batch_size.max(1));
        let (mut activations, mut widest) = (input.values(), 0);
        for (layer, output) in self.layers.iter().zip(self.shapes()?) {
            let input = std::mem::replace(&mut input, output);
            activations = activations.saturating_add(output.values());
            widest = widest.max(unfolded(layer, input, output));
        }
        let step = activations.saturating_mul(PASSES).saturating_add(widest).saturating_mul(batch);
        let ahead =
            self.input_shape()?.values().saturating_mul(batch).saturating_mul(AHEAD * VALUE);
        Ok(PROCESS
            .saturating_add(parameters.saturating_mul(vectors * VALUE))
            .saturating_add(step.saturating_mul(VALUE))
            .saturating_add(ahead.max(AHEAD_BYTES))
            .saturating_add(shard_bytes.saturating_mul(ROWS)))
    }
}

impl Optimizer {
    /// Vectors as long as the parameters that it keeps.
    pub const fn moments(&self) -> u64 {
        match self {
            Self::Sgd { momentum, .. } => (*momentum != 0.0) as u64,
            Self::Adam { .. } | Self::AdamW { .. } => 2,
        }
    }
}

/// Values of one row's input as a convolution lays it out: every window beside the others.
fn unfolded(layer: &LayerSpec, input: Shape, output: Shape) -> u64 {
    let (windows, values) = match (layer, input, output) {
        (
            LayerSpec::Conv2d { kernel, .. },
            Shape::Image { channels, .. },
            Shape::Image { height, width, .. },
        ) => (u64::from(height) * u64::from(width), u64::from(channels) * u64::from(kernel.pow(2))),
        (
            LayerSpec::ConvMaxPool { widths, channels: made },
            Shape::Sequence { channels, length },
            _,
        ) => {
            // All branches are kept for the way back, what each window gave among them.
            let widths: u64 = widths.iter().copied().map(u64::from).sum();
            (u64::from(length), u64::from(channels) * widths + PASSES * u64::from(*made) * 8)
        }
        _ => return 0,
    };
    windows.saturating_mul(values)
}
