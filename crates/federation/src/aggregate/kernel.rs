//! Inner loops of aggregation, compiled for the SIMD level detected at run time.

#![expect(clippy::inline_always, reason = "a loop has the SIMD of the function it is inlined into")]

use pulp::{Arch, Simd, WithSimd};

/// Largest change of one parameter in an update.
pub const MAXIMUM_CHANGE: f32 = 16.0;

/// Part of an update, as bytes of f32, and its weight.
pub(super) type Weighted<'a> = (&'a [[u8; 4]], f64);

/// Updates added to a sum while it is in a register.
const TOGETHER: usize = 4;
/// Number of separate sums of squares. It decides the bits of the result, so it does not depend on
/// the machine.
const LANES: usize = 16;
/// Mask for a float's bits without the sign. As integers they are ordered like the float's
/// magnitude, with infinities and NaN above all.
const MAGNITUDE: u32 = 0x7fff_ffff;

/// Adds the parts to `sums` and returns whether all changes are within bounds. Groups that contain
/// an invalid part are skipped, so adding the same parts with negative weights undoes the addition.
pub(super) fn add(sums: &mut [f64], parts: &[Weighted], grid_bits: u32) -> bool {
    Arch::new().dispatch(Add { sums, parts, rounding: rounding(grid_bits) })
}

/// Returns whether every value is finite and at most [`MAXIMUM_CHANGE`] in magnitude, and the sum
/// of squares, with the same bits on every machine.
pub(super) fn check(words: &[[u8; 4]]) -> (bool, f64) {
    Arch::new().dispatch(Check { words })
}

/// Computes `base` + `sums` / `rows`.
pub(super) fn finish(model: &mut [f32], base: &[f32], sums: &[f64], rows: f64) {
    Arch::new().dispatch(Finish { model, base, sums, rows });
}

// The loops are methods because a closure may not be inlined, and would then be compiled without
// the machine's SIMD.

struct Add<'a> {
    sums: &'a mut [f64],
    parts: &'a [Weighted<'a>],
    rounding: f64,
}

impl WithSimd for Add<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let mut is_valid = true;
        for group in self.parts.chunks(TOGETHER) {
            // Checking first brings the group into the cache and makes the additions below safe.
            if group.iter().any(|(words, _)| largest(words) > MAXIMUM_CHANGE.to_bits()) {
                is_valid = false;
                continue;
            }
            match group.as_array::<TOGETHER>() {
                Some(group) => add_group::<S>(self.sums, group, self.rounding),
                None => group.iter().for_each(|part| add_one::<S>(self.sums, part, self.rounding)),
            }
        }
        is_valid
    }
}

struct Check<'a> {
    words: &'a [[u8; 4]],
}

impl WithSimd for Check<'_> {
    type Output = (bool, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (bool, f64) {
        let (mut largest, mut squares) = ([0_u32; LANES], [0.0_f64; LANES]);
        let (groups, rest) = self.words.as_chunks::<LANES>();
        for group in groups {
            measure(group, &mut largest, &mut squares);
        }
        let mut last = [[0; 4]; LANES];
        last[..rest.len()].copy_from_slice(rest);
        measure(&last, &mut largest, &mut squares);
        let largest = largest.into_iter().max().unwrap_or(0);
        (largest <= MAXIMUM_CHANGE.to_bits(), squares.iter().sum())
    }
}

#[inline(always)]
fn measure(group: &[[u8; 4]; LANES], largest: &mut [u32; LANES], squares: &mut [f64; LANES]) {
    for ((word, largest), squares) in group.iter().zip(largest).zip(squares) {
        let bits = u32::from_le_bytes(*word);
        *largest = (*largest).max(bits & MAGNITUDE);
        let value = f64::from(f32::from_bits(bits));
        *squares += value * value;
    }
}

struct Finish<'a> {
    model: &'a mut [f32],
    base: &'a [f32],
    sums: &'a [f64],
    rows: f64,
}

impl WithSimd for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((model, base), sum) in self.model.iter_mut().zip(self.base).zip(self.sums) {
            #[expect(clippy::cast_possible_truncation, reason = "the rounding to f32")]
            let value = (f64::from(*base) + sum / self.rows) as f32;
            *model = value;
        }
    }
}

/// Returns 1.5 · 2^(52−s). Adding it pushes everything below 2⁻ˢ out of the mantissa, rounding ties
/// to even, and subtracting it leaves the rounded value. Exact for |Δ| ≤ 2^(51−s). Beyond that (s =
/// 48 and |Δ| ≥ 8) an f32 is a multiple of the coarser unit of the sum.
fn rounding(grid_bits: u32) -> f64 {
    1.5 * (1_u64 << 52_u32.saturating_sub(grid_bits)) as f64
}

/// Returns the bits of the largest magnitude among the changes.
#[inline(always)]
fn largest(words: &[[u8; 4]]) -> u32 {
    words.iter().fold(0, |largest, word| largest.max(u32::from_le_bytes(*word) & MAGNITUDE))
}

#[inline(always)]
fn add_group<S: Simd>(sums: &mut [f64], group: &[Weighted; TOGETHER], rounding: f64) {
    let [(a, rows_a), (b, rows_b), (c, rows_c), (d, rows_d)] = group;
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(*a).zip(*b).zip(*c).zip(*d) {
        let first = times_plus::<S>(*rows_a, rounded(*a, rounding), *sum);
        let second = times_plus::<S>(*rows_b, rounded(*b, rounding), first);
        let third = times_plus::<S>(*rows_c, rounded(*c, rounding), second);
        *sum = times_plus::<S>(*rows_d, rounded(*d, rounding), third);
    }
}

#[inline(always)]
fn add_one<S: Simd>(sums: &mut [f64], (words, rows): &Weighted, rounding: f64) {
    for (sum, word) in sums.iter_mut().zip(*words) {
        *sum = times_plus::<S>(*rows, rounded(*word, rounding), *sum);
    }
}

/// Computes `rows` · `change` + `sum`, in one instruction if available. All of it is exact, so both
/// ways give the same bits.
#[inline(always)]
fn times_plus<S: Simd>(rows: f64, change: f64, sum: f64) -> f64 {
    if S::IS_SCALAR { rows * change + sum } else { rows.mul_add(change, sum) }
}

/// Returns the change rounded to the grid.
#[inline(always)]
fn rounded(word: [u8; 4], rounding: f64) -> f64 {
    (f64::from(f32::from_le_bytes(word)) + rounding) - rounding
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounding_is_to_even_on_the_grid(
            bits in any::<u32>(),
            grid_bits in 0_u32..=48,
        ) {
            let change = f32::from_bits(bits);
            prop_assume!(change.abs() <= MAXIMUM_CHANGE);
            let unit = (1_u64 << grid_bits) as f64;
            let expected = (f64::from(change) * unit).round_ties_even() / unit;
            let actual = rounded(change.to_le_bytes(), rounding(grid_bits));
            // Compared as numbers: the kernel's zero has no sign.
            let same = (actual + 0.0).to_bits() == (expected + 0.0).to_bits();
            prop_assert!(same, "{} at 2^-{}", change, grid_bits);
        }

        #[test]
        fn ties_go_to_even(halves in -1_000_000_i32..1_000_000, grid_bits in 4_u32..=48) {
            let change = (f64::from(halves) + 0.5) / (1_u64 << grid_bits) as f64;
            #[expect(clippy::cast_possible_truncation, reason = "few enough bits to be exact")]
            let change = change as f32;
            prop_assume!(change.abs() <= MAXIMUM_CHANGE);
            let units = rounded(change.to_le_bytes(), rounding(grid_bits))
                * (1_u64 << grid_bits) as f64;
            prop_assert!((units % 2.0).abs() < 0.5);
        }

        #[test]
        fn bounds_match_those_of_the_floats(bits in proptest::collection::vec(any::<u32>(), 0..40)) {
            let words: Vec<[u8; 4]> = bits.iter().map(|bits| bits.to_le_bytes()).collect();
            let expected = bits.iter().all(|bits| f32::from_bits(*bits).abs() <= MAXIMUM_CHANGE);
            prop_assert_eq!(check(&words).0, expected);
        }

        #[test]
        fn squares_are_summed(values in proptest::collection::vec(-16.0_f32..=16.0, 0..100)) {
            let words: Vec<[u8; 4]> = values.iter().map(|value| value.to_le_bytes()).collect();
            let expected: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            let actual = check(&words).1;
            prop_assert!((actual - expected).abs() <= 1e-12 * expected, "{} {}", actual, expected);
        }
    }

    #[test]
    fn sixteen_is_within_bounds_and_the_next_float_is_not() {
        assert!(check(&[16.0_f32.to_le_bytes(), (-16.0_f32).to_le_bytes()]).0);
        for value in [16.0_f32.next_up(), f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!check(&[value.to_le_bytes()]).0, "{value}");
        }
    }
}
