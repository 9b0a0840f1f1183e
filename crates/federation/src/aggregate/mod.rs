//! Exact aggregation: the weighted mean of updates, with the same bits in any order, grouping and
//! number of threads. See docs/design/randomness-and-exact-sums.md.
//!
//! Every change Δ is rounded to a multiple of 2⁻ˢ, multiplied by its weight and added in f64. With
//! s = 52 − ⌈log2(16·N)⌉, N the rows of all seats and |Δ| ≤ 16, no sum of these multiples needs
//! more than 53 bits. Each addition is therefore exact, and the order does not matter.

mod kernel;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

pub use kernel::MAXIMUM_CHANGE;

/// Smallest number of bits after the point for which no warning is logged.
pub const COARSE_GRID: u32 = 24;
/// Most rows that leave the grid a bit after the point.
const MAXIMUM_ROWS: u64 = 1 << 48;
/// Parameters per tile. Their sums (128 KiB) stay in a core's cache while every update streams past,
/// and each update is read in runs long enough for prefetching.
const TILE: usize = 16_384;

/// Reason for which an update cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    #[error("expected {expected} parameters ({} bytes), got {actual} bytes", expected * 4)]
    Length { expected: usize, actual: usize },
    #[error("the change of parameter {index} is not a finite number; lower the learning rate")]
    NotFinite { index: usize },
    #[error("the change of parameter {index} is larger than 16; lower the learning rate")]
    TooLarge { index: usize },
    #[error("the update has {rows} rows, but the round's seats have only {left} left")]
    Rows { rows: u64, left: u64 },
}

/// Sum of a round's updates so far: 8 bytes per parameter, for any number of updates.
#[derive(Debug, Clone, PartialEq)]
pub struct Accumulator {
    /// Multiples of 2^-`grid_bits`.
    sums: Vec<f64>,
    grid_bits: u32,
    /// Rows of the updates added so far.
    rows: u64,
    /// Rows of all seats, which is the most that the grid allows.
    seat_rows: u64,
}

impl Accumulator {
    /// Creates an empty sum for a model of `parameters` and a round whose seats have `seat_rows` in
    /// all.
    pub fn new(parameters: usize, seat_rows: u64) -> Self {
        let seat_rows = seat_rows.clamp(1, MAXIMUM_ROWS);
        // ⌈log2(16·N)⌉ = 4 + ⌈log2 N⌉
        let grid_bits = 48 - seat_rows.next_power_of_two().trailing_zeros();
        Self { sums: vec![0.0; parameters], grid_bits, rows: 0, seat_rows }
    }

    /// Returns s: changes are rounded to multiples of 2⁻ˢ.
    pub fn grid_bits(&self) -> u32 {
        self.grid_bits
    }

    /// Returns whether the grid is coarse enough for a warning: s below [`COARSE_GRID`].
    pub fn is_coarse(&self) -> bool {
        self.grid_bits < COARSE_GRID
    }

    /// Returns the rows of the updates added so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds updates, each as bytes (f32, little-endian, in layout order) with its rows, in one pass
    /// over memory. Adding several at once costs little more than reading the slowest.
    ///
    /// # Errors
    /// If any update has the wrong length, is not finite, exceeds [`MAXIMUM_CHANGE`] or exceeds the
    /// rows of the round's seats, none is added. [`check_update`] finds the one at fault.
    pub fn add(&mut self, updates: &[(&[u8], u64)]) -> Result<(), UpdateError> {
        let mut rows = self.rows;
        for (bytes, weight) in updates {
            check_length(bytes, self.sums.len())?;
            let left = self.seat_rows.saturating_sub(rows);
            if *weight > left {
                return Err(UpdateError::Rows { rows: *weight, left });
            }
            rows += weight;
        }
        if self.add_signed(updates, 1.0) {
            self.rows = rows;
            return Ok(());
        }
        // Exact additions are undone exactly.
        self.add_signed(updates, -1.0);
        updates.iter().try_for_each(|(bytes, _)| check_update(bytes, self.sums.len()).map(|_| ()))
    }

    /// Returns the global model after the round: `base` plus the row-weighted mean of the updates,
    /// or `base` itself if there are none.
    pub fn finish(&self, base: &[f32]) -> Vec<f32> {
        if self.rows == 0 {
            return base.to_vec();
        }
        let rows = self.rows as f64;
        let mut model = vec![0.0; base.len().min(self.sums.len())];
        let inputs = base.par_chunks(TILE).zip(self.sums.par_chunks(TILE));
        model.par_chunks_mut(TILE).zip(inputs).for_each(|(model, (base, sums))| {
            kernel::finish(model, base, sums, rows);
        });
        model
    }
}

/// Checks an update for a model of `parameters` and returns its L2 norm, with the same bits on any
/// machine and number of threads.
///
/// # Errors
/// Wrong length, a value that is not finite, or a change beyond [`MAXIMUM_CHANGE`].
pub fn check_update(bytes: &[u8], parameters: usize) -> Result<f64, UpdateError> {
    check_length(bytes, parameters)?;
    let tiles: Vec<(bool, f64)> =
        bytes.par_chunks(4 * TILE).map(|bytes| kernel::check(chunks_of_four(bytes))).collect();
    match tiles.iter().position(|(within_bounds, _)| !within_bounds) {
        // Summed in the order of the tiles, whichever thread computed which.
        None => Ok(tiles.iter().map(|(_, squares)| squares).sum::<f64>().sqrt()),
        Some(number) => Err(first_error(chunks_of_four(bytes), number * TILE)),
    }
}

/// Returns the error for the first change from `start` on that is out of bounds.
fn first_error(words: &[[u8; 4]], start: usize) -> UpdateError {
    let offset = words[start..].iter().position(|word| !kernel::check(&[*word]).0);
    let index = start + offset.unwrap_or_default();
    if f32::from_le_bytes(words[index]).is_finite() {
        UpdateError::TooLarge { index }
    } else {
        UpdateError::NotFinite { index }
    }
}

impl Accumulator {
    /// Adds the updates times `sign` on all threads and returns whether all are within bounds.
    fn add_signed(&mut self, updates: &[(&[u8], u64)], sign: f64) -> bool {
        let grid_bits = self.grid_bits;
        let tiles = self.sums.par_chunks_mut(TILE).enumerate().map(|(number, sums)| {
            kernel::add(sums, &parts(updates, sign, TILE * number, sums.len()), grid_bits)
        });
        // Processes every tile, even after an invalid one, so that the addition can be undone.
        tiles.reduce(|| true, |a, b| a & b)
    }
}

fn check_length(bytes: &[u8], expected: usize) -> Result<(), UpdateError> {
    if expected.checked_mul(4) == Some(bytes.len()) {
        return Ok(());
    }
    Err(UpdateError::Length { expected, actual: bytes.len() })
}

/// Returns the part of every update that belongs to a tile of `length` parameters from `start` on,
/// with its weight.
fn parts<'a>(
    updates: &[(&'a [u8], u64)],
    sign: f64,
    start: usize,
    length: usize,
) -> Vec<kernel::Weighted<'a>> {
    let range = 4 * start..4 * (start + length);
    let part = |bytes: &'a [u8]| chunks_of_four(bytes.get(range.clone()).unwrap_or_default());
    updates.iter().map(|(bytes, rows)| (part(bytes), sign * *rows as f64)).collect()
}

/// Returns an update's changes as byte arrays. The bytes need no alignment.
fn chunks_of_four(bytes: &[u8]) -> &[[u8; 4]] {
    bytes.as_chunks::<4>().0
}
