//! Memory estimate of a lease, computed before anything is fetched.

use super::inference::SpecError;
use super::shape::Shape;
use super::spec::{LayerSpec, ModelSpec};
use crate::plan::{Optimizer, Plan};

/// Bytes of an idle trainer: its code, its threads' stacks and its allocator's reserve.
const PROCESS: u64 = 64 << 20;
/// Bytes of an f32.
const VALUE: u64 = 4;
/// Copies of the parameters besides the optimizer's moments: the round's base, the network, its
/// gradients and a step's temporaries.
const COPIES: u64 = 4;
/// Vectors in memory per checkpointed vector: read from the device, as bytes of the file, and those
/// encrypted.
const CHECKPOINT: u64 = 3;
/// Vectors per layer output: the output, its gradient and the temporaries of both.
const PASSES: u64 = 4;
/// Batches prepared ahead of the step (`engine::prefetch`), and the minimum in bytes.
const AHEAD: u64 = 3;
const AHEAD_BYTES: u64 = 12 << 20;
/// Copies of the rows: their bytes, an entry for each, and the whole shard as read.
const ROWS: u64 = 3;

impl ModelSpec {
    /// Returns an upper estimate of the bytes that a trainer needs for a lease of this plan, with
    /// `shard_bytes` of rows, for f32 on the CPU. `crates/cli/tests/memory.rs` compares it with
    /// real trainers. A GPU driver's own memory is not included.
    ///
    /// # Errors
    /// Fails if the spec cannot be built.
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
    /// Returns the number of parameter-sized vectors in the optimizer's state.
    pub const fn moments(&self) -> u64 {
        match self {
            Self::Sgd { momentum, .. } => (*momentum != 0.0) as u64,
            Self::Adam { .. } | Self::AdamW { .. } => 2,
        }
    }
}

/// Returns the number of values of one row's input unfolded for a convolution, with every window
/// separate.
fn unfolded(layer: &LayerSpec, input: Shape, output: Shape) -> u64 {
    let (windows, values) = match (layer, input, output) {
        (
            LayerSpec::Conv2d { kernel, .. },
            Shape::Image { channels, .. },
            Shape::Image { height, width, .. },
        ) => (u64::from(height) * u64::from(width), u64::from(channels) * u64::from(kernel.pow(2))),
        (
            LayerSpec::ConvMaxPool { widths, channels: outputs },
            Shape::Sequence { channels, length },
            _,
        ) => {
            // All branches are kept for the backward pass, with the output of each window.
            let widths: u64 = widths.iter().copied().map(u64::from).sum();
            (u64::from(length), u64::from(channels) * widths + PASSES * u64::from(*outputs) * 8)
        }
        _ => return 0,
    };
    windows.saturating_mul(values)
}
