//! Exactness of the sum: compared with integers, in any order, grouping and number of threads.

use proptest::prelude::*;
use protocol::codec::encode;

use super::*;

/// Mean by integer arithmetic, as described in docs/design/randomness-and-exact-sums.md.
fn reference(base: &[f32], updates: &[(Vec<f32>, u64)], grid_bits: u32) -> Vec<u32> {
    let unit = (1_u64 << grid_bits) as f64;
    let rows: u64 = updates.iter().map(|(_, rows)| rows).sum();
    let mean = |index: usize| {
        let sum: i128 = updates
            .iter()
            .map(|(changes, rows)| {
                let steps = (f64::from(changes[index]) * unit).round_ties_even();
                #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
                let steps = steps as i128;
                steps * i128::from(*rows)
            })
            .sum();
        sum as f64 / (rows as f64 * unit)
    };
    #[expect(clippy::cast_possible_truncation, reason = "the rounding to f32")]
    let parameter = |(index, base): (usize, &f32)| (f64::from(*base) + mean(index)) as f32;
    base.iter().enumerate().map(parameter).map(f32::to_bits).collect()
}

fn bits(model: &[f32]) -> Vec<u32> {
    model.iter().map(|parameter| parameter.to_bits()).collect()
}

fn change() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -0.5_f32..0.5,
        2 => -16.0_f32..=16.0,
        1 => prop_oneof![Just(16.0_f32), Just(-16.0), Just(0.0), Just(-0.0), Just(f32::MIN_POSITIVE)],
    ]
}

/// A round: a base and updates of one length, each with its rows.
fn round() -> impl Strategy<Value = (Vec<f32>, Vec<(Vec<f32>, u64)>)> {
    (1_usize..300, 1_usize..14).prop_flat_map(|(parameters, updates)| {
        let base = prop::collection::vec(-2.0_f32..2.0, parameters);
        let update = (prop::collection::vec(change(), parameters), 1_u64..5_000);
        (base, prop::collection::vec(update, updates))
    })
}

fn sum(parameters: usize, groups: &[&[(Vec<u8>, u64)]], seat_rows: u64) -> Accumulator {
    let mut accumulator = Accumulator::new(parameters, seat_rows);
    for group in groups {
        let group: Vec<(&[u8], u64)> = group.iter().map(|(b, rows)| (&b[..], *rows)).collect();
        accumulator.add(&group).unwrap();
    }
    accumulator
}

proptest! {
    #[test]
    fn the_mean_equals_integer_arithmetic_in_any_order_and_grouping(
        (base, updates) in round(),
        order in any::<u64>(),
        cut in any::<prop::sample::Index>(),
        threads in 1_usize..4,
        lost_rows in 0_u64..1_000,
    ) {
        let rows: u64 = updates.iter().map(|(_, rows)| rows).sum();
        let encoded: Vec<(Vec<u8>, u64)> =
            updates.iter().map(|(changes, rows)| (encode(changes), *rows)).collect();
        let whole = sum(base.len(), &[&encoded], rows + lost_rows);
        let expected = reference(&base, &updates, whole.grid_bits());
        prop_assert_eq!(bits(&whole.finish(&base)), &expected[..]);

        let mut shuffled = encoded;
        protocol::SeededRng::new(protocol::RngDomain::Selection, order, 0, 0, 0).shuffle(&mut shuffled);
        let (first, second) = shuffled.split_at(cut.index(shuffled.len()));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let other = pool.install(|| {
            let one_by_one: Vec<&[(Vec<u8>, u64)]> = second.chunks(1).collect();
            sum(base.len(), &[&[first], &one_by_one[..]].concat(), rows + lost_rows)
        });
        prop_assert_eq!(bits(&other.finish(&base)), expected);
    }

    #[test]
    fn a_refused_call_changes_nothing(
        (base, updates) in round(),
        at in any::<prop::sample::Index>(),
        victim in any::<prop::sample::Index>(),
        bad in prop_oneof![
            Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(-16.1_f32)
        ],
    ) {
        let mut encoded: Vec<(Vec<u8>, u64)> =
            updates.iter().map(|(changes, rows)| (encode(changes), *rows)).collect();
        let rows: u64 = updates.iter().map(|(_, rows)| rows).sum();
        let mut accumulator = sum(base.len(), &[&encoded], 2 * rows);
        let before = accumulator.clone();
        let index = at.index(base.len());
        let victim = victim.index(encoded.len());
        encoded[victim].0[4 * index..4 * index + 4].copy_from_slice(&bad.to_le_bytes());
        let calls: Vec<(&[u8], u64)> = encoded.iter().map(|(b, rows)| (&b[..], *rows)).collect();
        let error = accumulator.add(&calls).unwrap_err();
        let expected = if bad.is_finite() {
            UpdateError::TooLarge { index }
        } else {
            UpdateError::NotFinite { index }
        };
        prop_assert_eq!(error, expected);
        prop_assert_eq!(accumulator, before);
    }

    #[test]
    fn the_grid_leaves_room_for_every_row(rows in 1_u64..(1 << 48)) {
        let accumulator = Accumulator::new(0, rows);
        let largest = 16.0 * rows as f64 * (1_u64 << accumulator.grid_bits()) as f64;
        prop_assert!(largest <= (1_u64 << 52) as f64);
    }
}

#[test]
fn a_refusal_in_a_late_tile_undoes_the_early_tiles() {
    let parameters = 5 * TILE + 17;
    let good = encode(&vec![0.25; parameters]);
    let mut bad = good.clone();
    bad[4 * (4 * TILE + 3)..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut accumulator = Accumulator::new(parameters, 100);
    accumulator.add(&[(&good, 7)]).unwrap();
    let before = accumulator.clone();
    let six = [(&good[..], 1), (&good, 2), (&good, 3), (&good, 4), (&good, 5), (&bad, 6)];
    let error = accumulator.add(&six).unwrap_err();
    assert_eq!(error, UpdateError::NotFinite { index: 4 * TILE + 3 });
    assert_eq!(accumulator, before);
    assert_eq!(check_update(&bad, parameters).unwrap_err(), error);
}

#[test]
fn updates_need_no_alignment() {
    let changes: Vec<f32> = (0_u16..1000).map(|i| f32::from(i) / 1000.0).collect();
    let mut shifted = vec![0_u8; 1];
    shifted.extend(encode(&changes));
    let mut accumulator = Accumulator::new(1000, 3);
    accumulator.add(&[(&shifted[1..], 3)]).unwrap();
    let model = accumulator.finish(&vec![0.0; 1000]);
    assert!(model.iter().zip(&changes).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn errors_name_the_problem() {
    let mut accumulator = Accumulator::new(2, 10);
    let update = encode(&[1.0, 2.0]);
    assert_eq!(
        accumulator.add(&[(&update[..7], 1)]).unwrap_err().to_string(),
        "expected 2 parameters (8 bytes), got 7 bytes"
    );
    assert_eq!(
        accumulator.add(&[(&update, 6), (&update, 5)]).unwrap_err(),
        UpdateError::Rows { rows: 5, left: 4 }
    );
    assert_eq!(accumulator, Accumulator::new(2, 10));
    assert_eq!(bits(&accumulator.finish(&[0.5, -1.0])), bits(&[0.5, -1.0]));
}

#[test]
fn the_grid_follows_the_design_and_warns_when_coarse() {
    // s = 52 − ⌈log2(16 · N)⌉
    for (rows, grid_bits) in [(1, 48), (2, 47), (3, 46), (120_000, 31), (1 << 24, 24)] {
        assert_eq!(Accumulator::new(0, rows).grid_bits(), grid_bits, "{rows} rows");
        assert!(!Accumulator::new(0, rows).is_coarse());
    }
    assert!(Accumulator::new(0, (1 << 24) + 1).is_coarse());
}
