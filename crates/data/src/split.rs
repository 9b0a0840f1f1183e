//! Derived test split: a tenth of each class, selected by the rows' hashes. Neither the order of a
//! file nor a repeated upload changes the split.

use std::collections::BTreeMap;

use crate::Row;

/// Splits rows into train and test. Both keep the order of the rows. Identical rows stay together.
/// Each class keeps at least one train row and, if it has two rows, one test row.
pub(crate) fn stratified_tenth(rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
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
    let mut flags = is_test.into_iter();
    let (test, train) = rows.into_iter().partition(|_| flags.next().unwrap_or(false));
    (train, test)
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
    fn a_class_of_copies_is_split() {
        let (train, test) = stratified_tenth(vec![row(0, "same"); 20]);
        assert_eq!((train.len(), test.len()), (18, 2));
    }
}
