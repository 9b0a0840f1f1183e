//! Exact aggregation: the weighted mean of updates, the same bits in any order, grouping and number
//! of threads (DESIGN §11.6).
//!
//! Every change Δ is rounded to a multiple of 2⁻ˢ and added, times its weight, in f64. With
//! s = 52 − ⌈log2(16·N)⌉, N the rows of all seats and |Δ| ≤ 16, no sum of these multiples needs more
//! than 53 bits: each addition is exact, so their order can't matter.

mod kernel;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

/// The largest change of one parameter that an update may ask for.
pub const MAXIMUM_CHANGE: f32 = 16.0;
/// Below so many bits after the point the grid is worth a warning.
pub const COARSE_GRID: u32 = 24;
/// More rows would leave the grid no bit after the point.
const MAXIMUM_ROWS: u64 = 1 << 48;
/// Parameters worked on at a time: their sums (128 KiB) stay in a core's cache while every update
/// streams past, and each update is read in runs long enough for the memory to keep ahead.
const TILE: usize = 16_384;

/// Why an update can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    #[error("expected {expected} parameters ({} bytes), got {actual} bytes", expected * 4)]
    Length { expected: usize, actual: usize },
    #[error("the change of parameter {index} is not a finite number; lower the learning rate")]
    NotFinite { index: usize },
    #[error("the change of parameter {index} is beyond 16; lower the learning rate")]
    TooLarge { index: usize },
    #[error("an update of {rows} rows, but the round's seats have only {left} more")]
    Rows { rows: u64, left: u64 },
}

/// The sum of a round's updates so far: 8 bytes a parameter, however many updates come.
#[derive(Debug, Clone, PartialEq)]
pub struct Accumulator {
    /// Multiples of 2^-`grid_bits`.
    sums: Vec<f64>,
    grid_bits: u32,
    /// Rows of the updates added.
    rows: u64,
    /// Rows of all seats: the grid has room for so many.
    seat_rows: u64,
}

impl Accumulator {
    /// An empty sum for a model of `parameters` and a round whose seats have `seat_rows` together.
    pub fn new(parameters: usize, seat_rows: u64) -> Self {
        let seat_rows = seat_rows.clamp(1, MAXIMUM_ROWS);
        // ⌈log2(16·N)⌉ = 4 + ⌈log2 N⌉
        let grid_bits = 48 - seat_rows.next_power_of_two().trailing_zeros();
        Self { sums: vec![0.0; parameters], grid_bits, rows: 0, seat_rows }
    }

    /// s: changes are rounded to multiples of 2⁻ˢ.
    pub fn grid_bits(&self) -> u32 {
        self.grid_bits
    }

    /// Whether the grid is so coarse that a person should hear of it: s below [`COARSE_GRID`].
    pub fn is_coarse(&self) -> bool {
        self.grid_bits < COARSE_GRID
    }

    /// Rows of the updates added so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds updates, each the bytes of its changes (f32, little-endian, in layout order) with its
    /// rows, in one pass over memory: several at once cost little more than the slowest reading.
    ///
    /// # Errors
    /// Where any of them is of the wrong length, not finite, beyond [`MAXIMUM_CHANGE`] or over the
    /// rows of the round's seats; then none is added. [`check_update`] finds the one at fault.
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
        // What was added exactly is taken off exactly.
        self.add_signed(updates, -1.0);
        updates.iter().try_for_each(|(bytes, _)| check_update(bytes, self.sums.len()).map(|_| ()))
    }

    /// The global model after the round: `base` plus the mean of the added updates by rows; `base`
    /// itself where none was added.
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

/// Whether an update may be added to a round of a model of `parameters`; gives its L2 norm, the same
/// bits on any machine and number of threads.
///
/// # Errors
/// Where it is of the wrong length, not finite or beyond [`MAXIMUM_CHANGE`].
pub fn check_update(bytes: &[u8], parameters: usize) -> Result<f64, UpdateError> {
    check_length(bytes, parameters)?;
    let tiles: Vec<(bool, f64)> =
        bytes.par_chunks(4 * TILE).map(|bytes| kernel::check(words(bytes))).collect();
    match tiles.iter().position(|(within_bounds, _)| !within_bounds) {
        // In the order of the tiles, whichever thread summed which.
        None => Ok(tiles.iter().map(|(_, squares)| squares).sum::<f64>().sqrt()),
        Some(number) => Err(fault(words(bytes), number * TILE)),
    }
}

/// The first change from `start` on that is out of bounds.
fn fault(words: &[[u8; 4]], start: usize) -> UpdateError {
    let offset = words[start..].iter().position(|word| !kernel::check(&[*word]).0);
    let index = start + offset.unwrap_or_default();
    if f32::from_le_bytes(words[index]).is_finite() {
        UpdateError::TooLarge { index }
    } else {
        UpdateError::NotFinite { index }
    }
}

impl Accumulator {
    /// Adds the updates times `sign`, on all threads, and says whether all are within bounds.
    fn add_signed(&mut self, updates: &[(&[u8], u64)], sign: f64) -> bool {
        let grid_bits = self.grid_bits;
        let tiles = self.sums.par_chunks_mut(TILE).enumerate().map(|(number, sums)| {
            kernel::add(sums, &parts(updates, sign, TILE * number, sums.len()), grid_bits)
        });
        // Every tile, also after one that is out of bounds: what is done can be undone.
        tiles.reduce(|| true, |a, b| a & b)
    }
}

fn check_length(bytes: &[u8], expected: usize) -> Result<(), UpdateError> {
    if expected.checked_mul(4) == Some(bytes.len()) {
        return Ok(());
    }
    Err(UpdateError::Length { expected, actual: bytes.len() })
}

/// The part of every update that belongs to a tile of `length` parameters from `start` on, with
/// its weight.
fn parts<'a>(
    updates: &[(&'a [u8], u64)],
    sign: f64,
    start: usize,
    length: usize,
) -> Vec<kernel::Weighted<'a>> {
    let range = 4 * start..4 * (start + length);
    let part = |bytes: &'a [u8]| words(bytes.get(range.clone()).unwrap_or_default());
    updates.iter().map(|(bytes, rows)| (part(bytes), sign * *rows as f64)).collect()
}

/// The changes in an update, still as bytes: it may lie at any address.
fn words(bytes: &[u8]) -> &[[u8; 4]] {
    bytes.as_chunks::<4>().0
}
