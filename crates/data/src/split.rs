//! Derived test split: a tenth of each class, selected by the rows' hashes. Neither the order of a
//! file nor a repeated upload changes the split.

use std::collections::BTreeMap;

use protocol::dataset::import::TestSplit;

use crate::Row;

/// Takes the test rows from the training rows. `keys` has a key or none for each row. Rows of one key
/// stay in one part.
pub(crate) fn take_test(
    rows: Vec<Row>,
    keys: &[Option<String>],
    how: TestSplit,
) -> (Vec<Row>, Vec<Row>) {
    match how {
        TestSplit::Stratified if keys.iter().all(Option::is_none) => stratified_tenth(rows),
        TestSplit::Stratified => keyed_tenth(rows, keys),
        TestSplit::Tail => tail(rows, keys),
    }
}

/// Takes keys in the order of their hashes until they have a tenth of the rows. A row without a key is
/// a key of its own.
fn keyed_tenth(rows: Vec<Row>, keys: &[Option<String>]) -> (Vec<Row>, Vec<Row>) {
    let mut groups: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let group = match keys.get(index) {
            Some(Some(key)) => blake3::hash(key.as_bytes()),
            Some(None) | None => hash(row),
        };
        groups.entry(*group.as_bytes()).or_default().push(index);
    }
    let (mut is_test, mut taken) = (vec![false; rows.len()], 0);
    let wanted = rows.len().div_ceil(10);
    let last = groups.len().saturating_sub(1);
    for members in groups.values().take(last) {
        if taken >= wanted {
            break;
        }
        taken += members.len();
        for index in members {
            is_test[*index] = true;
        }
    }
    divided(rows, is_test)
}

/// Takes the last tenth. It begins earlier if it would divide the rows of one key.
fn tail(rows: Vec<Row>, keys: &[Option<String>]) -> (Vec<Row>, Vec<Row>) {
    let mut start = rows.len() - rows.len().div_ceil(10).min(rows.len().saturating_sub(1));
    let same = |a: usize, b: usize| {
        let (a, b) = (keys.get(a).cloned().flatten(), keys.get(b).cloned().flatten());
        a.is_some() && a == b
    };
    while start > 1 && start < rows.len() && same(start - 1, start) {
        start -= 1;
    }
    let mut train = rows;
    let test = train.split_off(start);
    (train, test)
}

fn divided(rows: Vec<Row>, is_test: Vec<bool>) -> (Vec<Row>, Vec<Row>) {
    let mut flags = is_test.into_iter();
    let (test, train) = rows.into_iter().partition(|_| flags.next().unwrap_or(false));
    (train, test)
}

/// Splits rows into train and test. Both keep the order of the rows. Identical rows stay together.
/// Each class keeps at least one train row and, if it has two rows, one test row.
fn stratified_tenth(rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    let mut classes: BTreeMap<u32, Vec<(blake3::Hash, usize)>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        classes.entry(row.label).or_default().push((hash(row), index));
    }
    let mut is_test = vec![false; rows.len()];
    for members in classes.values_mut() {
        members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()).then(a.1.cmp(&b.1)));
        let tenth = members.len().div_ceil(10).min(members.len() - 1);
        let mut end = tenth;
        while end > 0 && end < members.len() && members[end].0 == members[end - 1].0 {
            end += 1;
        }
        // All remaining rows are copies: splitting them is better than having none for training.
        let end = if end == members.len() { tenth } else { end };
        for (_, index) in &members[..end] {
            is_test[*index] = true;
        }
    }
    divided(rows, is_test)
}

/// Returns the BLAKE3 hash of a row's bytes in a shard.
fn hash(row: &Row) -> blake3::Hash {
    let bytes = row.sample.bytes();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&row.label.to_le_bytes());
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Sample;

    fn row(label: u32, text: impl Into<String>) -> Row {
        Row { label, sample: Sample::Text(text.into()) }
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_no_row_is_lost(
            texts in prop::collection::vec((0_u32..4, 0_u32..60), 0..200),
            turn in 0_usize..200,
        ) {
            let mut rows: Vec<Row> = texts.iter().map(|(label, text)| row(*label, text.to_string())).collect();
            let (train, test) = stratified_tenth(rows.clone());
            prop_assert_eq!(train.len() + test.len(), rows.len());
            let middle = turn % rows.len().max(1);
            rows.rotate_left(middle);
            let (_, mut again) = stratified_tenth(rows);
            let mut test = test;
            let key = |row: &Row| (row.label, row.sample.bytes().to_vec());
            test.sort_by_key(key);
            again.sort_by_key(key);
            prop_assert_eq!(test, again);
        }
    }

    #[test]
    fn a_tenth_of_each_class_is_for_testing_and_copies_stay_together() {
        let mut rows: Vec<Row> =
            (0..300).map(|index| row(index % 3, (index / 6).to_string())).collect();
        rows.push(row(3, "one"));
        rows.push(row(3, "two"));
        let (train, test) = stratified_tenth(rows);
        for class in 0..3 {
            let count = test.iter().filter(|row| row.label == class).count();
            assert_eq!(count, 10);
        }
        assert_eq!(test.iter().filter(|row| row.label == 3).count(), 1);
        assert!(test.iter().all(|row| row.label == 3 || !train.contains(row)));
    }

    #[test]
    fn rows_of_one_key_stay_in_one_part() {
        let rows: Vec<Row> = (0..100).map(|index| row(index % 2, index.to_string())).collect();
        let keys: Vec<Option<String>> =
            (0..100).map(|index| Some(format!("user {}", index / 4))).collect();
        for how in [TestSplit::Stratified, TestSplit::Tail] {
            let (train, test) = take_test(rows.clone(), &keys, how);
            assert_eq!(train.len() + test.len(), 100);
            assert!((10..=16).contains(&test.len()), "{how:?}: {}", test.len());
            let users = |rows: &[Row]| -> std::collections::BTreeSet<usize> {
                let numbers = rows.iter().map(|row| String::from_utf8(row.sample.bytes().into()));
                numbers.map(|number| number.unwrap().parse::<usize>().unwrap() / 4).collect()
            };
            assert!(users(&train).is_disjoint(&users(&test)), "{how:?}");
        }
    }

    #[test]
    fn the_tail_is_the_end() {
        let rows: Vec<Row> = (0..25).map(|index| row(0, index.to_string())).collect();
        let (train, test) = take_test(rows.clone(), &vec![None; 25], TestSplit::Tail);
        assert_eq!((train.as_slice(), test.as_slice()), (&rows[..22], &rows[22..]));
    }

    #[test]
    fn a_class_of_copies_is_split() {
        let (train, test) = stratified_tenth(vec![row(0, "same"); 20]);
        assert_eq!((train.len(), test.len()), (18, 2));
    }
}
