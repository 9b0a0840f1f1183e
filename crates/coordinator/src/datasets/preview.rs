//! Preview of a dataset: row counts and the first rows. Small enough to stay cached after the rows are
//! dropped.

use data::{Dataset, Row};
use protocol::dataset::{DatasetInfo, Split};

/// Maximum number of rows in a split's preview: the most that one answer shows.
pub(crate) const MOST_ROWS: usize = 100;
/// Maximum size of those rows, in bytes.
const MOST_BYTES: usize = 256 << 10;

/// Preview of one dataset.
#[derive(Debug)]
pub(crate) struct DatasetPreview {
    pub(crate) info: DatasetInfo,
    pub(crate) train: SplitPreview,
    pub(crate) test: SplitPreview,
}

/// Preview of one split.
#[derive(Debug)]
pub(crate) struct SplitPreview {
    pub(crate) rows: u64,
    /// Rows of each class, by label.
    pub(crate) class_counts: Vec<u64>,
    first: Vec<Row>,
}

impl DatasetPreview {
    pub(crate) fn from_dataset(dataset: &Dataset) -> Self {
        let classes = dataset.info.classes.len();
        let preview = |rows: &[Row]| SplitPreview {
            rows: rows.len() as u64,
            class_counts: class_counts(rows, classes),
            first: first(rows),
        };
        Self {
            info: dataset.info.clone(),
            train: preview(&dataset.train),
            test: preview(&dataset.test),
        }
    }

    pub(crate) const fn split(&self, split: Split) -> &SplitPreview {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl SplitPreview {
    /// Returns the requested rows, or `None` if the preview doesn't hold all of them.
    pub(crate) fn page(&self, offset: usize, limit: usize) -> Option<&[Row]> {
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let end = offset.saturating_add(limit).min(rows);
        if offset >= rows {
            return Some(&[]);
        }
        self.first.get(offset..end)
    }
}

/// Counts the rows of each class.
pub(crate) fn class_counts<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    classes: usize,
) -> Vec<u64> {
    let mut counts = vec![0; classes];
    for row in rows {
        if let Some(count) = counts.get_mut(row.label as usize) {
            *count += 1;
        }
    }
    counts
}

/// Copies the first rows, within [`MOST_ROWS`] and [`MOST_BYTES`].
fn first(rows: &[Row]) -> Vec<Row> {
    let mut bytes_left = MOST_BYTES;
    let fits = |row: &&Row| {
        let rest = bytes_left.checked_sub(row.sample.bytes().len());
        bytes_left = rest.unwrap_or(0);
        rest.is_some()
    };
    rows.iter().take(MOST_ROWS).take_while(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use data::Sample;
    use data::synthetic::Synthetic;

    use super::*;

    #[test]
    fn a_page_is_served_only_if_the_preview_holds_every_row_of_it() {
        let whole = Synthetic::Topics.generate();
        let preview = DatasetPreview::from_dataset(&whole);
        let test = preview.split(Split::Test);
        assert_eq!((preview.train.rows, test.rows), (8000, 2000));
        assert_eq!(test.class_counts, class_counts(&whole.test, 4));
        assert_eq!(test.page(7, 3), Some(&whole.test[7..10]));
        assert_eq!(test.page(90, 20), None);
        assert_eq!(test.page(2000, 20), Some(&[][..]), "beyond the end");

        let long = Row { label: 0, sample: Sample::Text("x".repeat(100 << 10)) };
        let info = DatasetInfo { classes: vec!["a".to_owned(), "b".to_owned()], ..whole.info };
        let short = Row { label: 1, sample: Sample::Text("short".to_owned()) };
        let train = vec![long.clone(), long.clone(), long.clone(), short.clone()];
        let preview = DatasetPreview::from_dataset(&Dataset {
            info,
            train,
            validation: Vec::new(),
            test: vec![short.clone()],
        });
        assert_eq!(preview.train.page(0, 2), Some(&[long.clone(), long][..]));
        assert_eq!(preview.train.page(0, 3), None, "the third row exceeds the byte limit");
        assert_eq!(preview.train.class_counts, [3, 1]);
        // A page beyond the end holds the rows that exist.
        assert_eq!(preview.test.page(0, 20), Some(&[short][..]));
        assert_eq!(preview.test.page(5, 20), Some(&[][..]));
    }
}
