//! The inner loops: plain ones, compiled for the SIMD that the machine turns out to have.

use pulp::Arch;

use super::MAXIMUM_CHANGE;

/// Part of an update, as bytes of f32, and its weight.
pub(super) type Weighted<'a> = (&'a [[u8; 4]], f64);

/// Updates whose changes are added to a sum while it is in a register.
const TOGETHER: usize = 4;

/// Adds the parts to `sums`, unless one of them is out of bounds: then `sums` stays as it was and
/// the answer is false.
pub(super) fn add(sums: &mut [f64], parts: &[Weighted], grid_bits: u32) -> bool {
    let rounding = rounding(grid_bits);
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (number, group) in parts.chunks(TOGETHER).enumerate() {
                // Checking brings the group into the cache, from where it is added.
                if !group.iter().all(|(words, _)| bounded(words)) {
                    weigh(sums, &parts[..number * TOGETHER], -1.0, rounding);
                    return false;
                }
                weigh(sums, group, 1.0, rounding);
            }
            true
        },
    )
}

/// Takes the parts off `sums` again.
pub(super) fn subtract(sums: &mut [f64], parts: &[Weighted], grid_bits: u32) {
    let rounding = rounding(grid_bits);
    Arch::new().dispatch(
        #[inline(always)]
        || weigh(sums, parts, -1.0, rounding),
    );
}

/// Whether every value is finite and at most [`MAXIMUM_CHANGE`] in magnitude.
pub(super) fn within_bounds(words: &[[u8; 4]]) -> bool {
    Arch::new().dispatch(
        #[inline(always)]
        || bounded(words),
    )
}

/// `base` + `sums` / `rows`.
pub(super) fn finish(model: &mut [f32], base: &[f32], sums: &[f64], rows: f64) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((model, base), sum) in model.iter_mut().zip(base).zip(sums) {
                #[expect(clippy::cast_possible_truncation, reason = "the rounding to f32")]
                let value = (f64::from(*base) + sum / rows) as f32;
                *model = value;
            }
        },
    );
}

/// 1.5 · 2^(52−s): adding it pushes everything below 2⁻ˢ out of the mantissa, rounding ties to
/// even, and subtracting it leaves the rounded value. Exact for |Δ| ≤ 2^(51−s); beyond it (s = 48
/// and |Δ| ≥ 8) an f32 is a multiple of the coarser unit in which the sum is then held.
fn rounding(grid_bits: u32) -> f64 {
    1.5 * (1_u64 << 52_u32.saturating_sub(grid_bits)) as f64
}

/// The largest magnitude by bits: those of a float without its sign are ordered as its magnitude,
/// infinities and what is no number above all.
#[inline(always)]
#[expect(clippy::inline_always, reason = "part of a loop that is compiled for several SIMD levels")]
fn bounded(words: &[[u8; 4]]) -> bool {
    let mut largest = 0;
    for word in words {
        largest = largest.max(u32::from_le_bytes(*word) & 0x7fff_ffff);
    }
    largest <= MAXIMUM_CHANGE.to_bits()
}

/// Adds `sign` times the rounded changes times their weights.
#[inline(always)]
#[expect(clippy::inline_always, reason = "part of a loop that is compiled for several SIMD levels")]
fn weigh(sums: &mut [f64], parts: &[Weighted], sign: f64, rounding: f64) {
    let (groups, rest) = parts.as_chunks::<TOGETHER>();
    for [(a, ra), (b, rb), (c, rc), (d, rd)] in groups {
        let (ra, rb, rc, rd) = (sign * ra, sign * rb, sign * rc, sign * rd);
        for ((((sum, a), b), c), d) in sums.iter_mut().zip(*a).zip(*b).zip(*c).zip(*d) {
            *sum += ra * rounded(*a, rounding)
                + rb * rounded(*b, rounding)
                + rc * rounded(*c, rounding)
                + rd * rounded(*d, rounding);
        }
    }
    for (words, rows) in rest {
        let rows = sign * rows;
        for (sum, word) in sums.iter_mut().zip(*words) {
            *sum += rows * rounded(*word, rounding);
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "part of a loop that is compiled for several SIMD levels")]
fn rounded(word: [u8; 4], rounding: f64) -> f64 {
    (f64::from(f32::from_le_bytes(word)) + rounding) - rounding
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_rounding_is_to_even_on_the_grid(
            bits in any::<u32>(),
            grid_bits in 0_u32..=48,
        ) {
            let change = f32::from_bits(bits);
            prop_assume!(change.abs() <= MAXIMUM_CHANGE);
            let unit = (1_u64 << grid_bits) as f64;
            let expected = (f64::from(change) * unit).round_ties_even() / unit;
            let actual = rounded(change.to_le_bytes(), rounding(grid_bits));
            // As numbers: the kernel's zero has no sign.
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
        fn bounds_are_those_of_the_floats(bits in proptest::collection::vec(any::<u32>(), 0..40)) {
            let words: Vec<[u8; 4]> = bits.iter().map(|bits| bits.to_le_bytes()).collect();
            let expected = bits.iter().all(|bits| f32::from_bits(*bits).abs() <= MAXIMUM_CHANGE);
            prop_assert_eq!(within_bounds(&words), expected);
        }
    }

    #[test]
    fn sixteen_is_within_bounds_and_the_next_float_is_not() {
        assert!(within_bounds(&[16.0_f32.to_le_bytes(), (-16.0_f32).to_le_bytes()]));
        for value in [16.0_f32.next_up(), f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!within_bounds(&[value.to_le_bytes()]), "{value}");
        }
    }
}
