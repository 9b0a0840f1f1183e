//! Properties of every partitioning, and the unevenness of each method.

use proptest::prelude::*;

use super::*;

fn partitioner() -> impl Strategy<Value = Partitioner> {
    prop_oneof![
        Just(Partitioner::Iid),
        (0.001_f64..50.0).prop_map(|alpha| Partitioner::Dirichlet { alpha }),
        (1_u32..4).prop_map(|per_partition| Partitioner::Shards { per_partition }),
        (0.001_f64..50.0).prop_map(|alpha| Partitioner::Quantity { alpha }),
    ]
}

proptest! {
    #[test]
    fn every_row_is_in_exactly_one_partition_and_none_is_empty(
        seed in any::<u64>(),
        partitioner in partitioner(),
        labels in prop::collection::vec(0_u32..6, 60..400),
        partitions in 1_u32..20,
    ) {
        let divided = partition(seed, &partitioner, &labels, 5, partitions).unwrap();
        prop_assert_eq!(divided.len(), partitions as usize);
        prop_assert!(divided.iter().all(|rows| !rows.is_empty() && rows.is_sorted()));
        let mut rows = divided.concat();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0_u32..).take(labels.len()).collect::<Vec<_>>());
        prop_assert_eq!(divided, partition(seed, &partitioner, &labels, 5, partitions).unwrap());
    }

    #[test]
    fn iid_and_dirichlet_sizes_differ_by_at_most_one(
        seed in any::<u64>(),
        dirichlet in any::<bool>(),
        labels in prop::collection::vec(0_u32..5, 20..300),
        partitions in 1_u32..20,
    ) {
        let partitioner =
            if dirichlet { Partitioner::Dirichlet { alpha: 0.1 } } else { Partitioner::Iid };
        let divided = partition(seed, &partitioner, &labels, 5, partitions).unwrap();
        let sizes = divided.iter().map(Vec::len);
        prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
    }

    #[test]
    fn the_validation_split_is_a_stratified_tenth(
        seed in any::<u64>(),
        labels in prop::collection::vec(0_u32..4, 2..600),
    ) {
        let split = split_validation(seed, &labels, 4).unwrap();
        let mut rows = [&split.train[..], &split.validation].concat();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0_u32..).take(labels.len()).collect::<Vec<_>>());
        prop_assert!(!split.train.is_empty() && !split.validation.is_empty());
        for class in 0..4 {
            let whole = labels.iter().filter(|label| **label == class).count();
            let of_class = |row: &&u32| labels[**row as usize] == class;
            let held_out = split.validation.iter().filter(of_class).count();
            prop_assert!(held_out.abs_diff((whole + 5) / 10) <= 1, "{} with {}", held_out, whole);
        }
    }

    #[test]
    fn whole_parts_add_up(weights in prop::collection::vec(0.0_f64..1.0, 1..30), total in 0_usize..9999) {
        let sum: f64 = weights.iter().sum();
        prop_assume!(sum > 0.0);
        let shares: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        let parts = dirichlet::apportion(&shares, total);
        prop_assert_eq!(parts.iter().sum::<usize>(), total);
        for (part, share) in parts.iter().zip(shares) {
            prop_assert!((*part as f64 - share * total as f64).abs() < 1.001);
        }
    }
}

/// Labels of `classes` classes in turn.
fn labels(rows: u32, classes: u32) -> Vec<u32> {
    (0..rows).map(|row| row % classes).collect()
}

/// Mean share of a partition's most frequent class.
fn concentration(divided: &[Vec<u32>], labels: &[u32], classes: u32) -> f64 {
    let largest = |rows: &Vec<u32>| {
        let count =
            |class| rows.iter().filter(|row| labels[**row as usize] == class).count() as f64;
        (0..classes).map(count).fold(0.0, f64::max) / rows.len() as f64
    };
    divided.iter().map(largest).sum::<f64>() / divided.len() as f64
}

#[test]
fn a_smaller_alpha_gives_more_uneven_classes() {
    let labels = labels(5_000, 10);
    let at = |alpha| {
        let divided = partition(3, &Partitioner::Dirichlet { alpha }, &labels, 10, 20).unwrap();
        concentration(&divided, &labels, 10)
    };
    assert!(at(1000.0) < 0.2, "{}", at(1000.0));
    assert!(at(0.05) > 0.5, "{}", at(0.05));
    assert!(at(1000.0) < at(1.0) && at(1.0) < at(0.05));
}

#[test]
fn shards_give_a_partition_few_classes() {
    let labels = labels(1_000, 10);
    let divided = partition(1, &Partitioner::Shards { per_partition: 2 }, &labels, 10, 10).unwrap();
    for rows in divided {
        let classes: std::collections::BTreeSet<u32> =
            rows.iter().map(|row| labels[*row as usize]).collect();
        // A run of 50 rows of one class, or one that crosses into the next.
        assert!(classes.len() <= 4, "{classes:?}");
    }
}

#[test]
fn a_smaller_alpha_gives_more_uneven_sizes() {
    let labels = labels(10_000, 2);
    let largest = |alpha| {
        let divided = partition(5, &Partitioner::Quantity { alpha }, &labels, 2, 20).unwrap();
        divided.iter().map(Vec::len).max().unwrap()
    };
    assert!(largest(1000.0) < 700, "{}", largest(1000.0));
    assert!(largest(0.05) > 3_000, "{}", largest(0.05));
}

#[test]
fn shares_have_the_dirichlets_mean_and_variance() {
    let mut rng = SeededRng::new(RngDomain::Partitioning, 9, 0, 0, 0);
    for alpha in [0.3, 1.0, 4.0] {
        let draws: Vec<f64> =
            (0..4_000).map(|_| dirichlet::shares(&mut rng, alpha, 5)[0]).collect();
        let mean = draws.iter().sum::<f64>() / 4_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4_000.0;
        let expected = (1.0 / 5.0) * (4.0 / 5.0) / (5.0 * alpha + 1.0);
        assert!((mean - 0.2).abs() < 0.02, "{alpha}: {mean}");
        assert!((variance / expected - 1.0).abs() < 0.12, "{alpha}: {variance} for {expected}");
    }
}

#[test]
fn partitions_of_known_seeds_are_stable() {
    let labels = labels(12, 3);
    let with = |partitioner| partition(42, &partitioner, &labels, 3, 3).unwrap();
    let pins = [
        with(Partitioner::Iid),
        with(Partitioner::Dirichlet { alpha: 0.5 }),
        with(Partitioner::Shards { per_partition: 2 }),
        with(Partitioner::Quantity { alpha: 0.5 }),
    ];
    let expected: [Vec<Vec<u32>>; 4] = [
        vec![vec![0, 1, 5, 10], vec![4, 7, 8, 11], vec![2, 3, 6, 9]],
        vec![vec![2, 6, 7, 9], vec![4, 8, 10, 11], vec![0, 1, 3, 5]],
        vec![vec![3, 5, 9, 11], vec![0, 1, 6, 10], vec![2, 4, 7, 8]],
        vec![vec![1, 2, 3, 4, 5, 6, 7, 9, 10, 11], vec![0], vec![8]],
    ];
    assert_eq!(pins, expected);
}

#[test]
fn an_impossible_partitioning_names_what_to_change() {
    let labels = labels(4, 2);
    assert_eq!(
        partition(1, &Partitioner::Iid, &labels, 2, 5).unwrap_err().to_string(),
        "5 partitions need at least as many rows, but there are 4; lower data.partitions or raise \
         data.train_limit"
    );
    assert_eq!(
        partition(1, &Partitioner::Shards { per_partition: 3 }, &labels, 2, 2)
            .unwrap_err()
            .to_string(),
        "6 shards need at least as many rows, but there are 4; lower data.partitions or \
         data.partitioner.per_partition"
    );
    assert!(partition(1, &Partitioner::Iid, &[], 2, 1).is_err());
    assert!(partition(1, &Partitioner::Iid, &labels, 2, 0).is_err());
    assert!(split_validation(1, &[0], 1).is_err());
}
