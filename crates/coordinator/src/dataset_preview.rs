//! What a look at a dataset shows before anybody turns its pages: counts, and the first rows. Small, so
//! that it is kept when the rows are let go.

use data::{Dataset, Row};
use protocol::dataset::{DatasetInfo, Split};

/// Rows that are kept of a split: the most that an answer shows.
pub(crate) const MOST_ROWS: usize = 100;
/// Bytes of them.
const MOST_BYTES: usize = 256 << 10;

/// Of one dataset.
#[derive(Debug)]
pub(crate) struct DatasetPreview {
    pub(crate) info: DatasetInfo,
    pub(crate) train: SplitPreview,
    pub(crate) test: SplitPreview,
}

/// Of one split.
#[derive(Debug)]
pub(crate) struct SplitPreview {
    pub(crate) rows: u64,
    /// By class.
    pub(crate) class_counts: Vec<u64>,
    first: Vec<Row>,
}

impl DatasetPreview {
    pub(crate) fn of(dataset: &Dataset) -> Self {
        let classes = dataset.info.classes.len();
        let part = |rows: &[Row]| SplitPreview {
            rows: rows.len() as u64,
            class_counts: class_counts(rows, classes),
            first: first(rows),
        };
        Self { info: dataset.info.clone(), train: part(&dataset.train), test: part(&dataset.test) }
    }

    pub(crate) const fn part(&self, split: Split) -> &SplitPreview {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl SplitPreview {
    /// These rows, where all of them that there are were kept.
    pub(crate) fn page(&self, offset: usize, limit: usize) -> Option<&[Row]> {
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let end = offset.saturating_add(limit).min(rows);
        if offset >= rows {
            return Some(&[]);
        }
        self.first.get(offset..end)
    }
}

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

fn first(rows: &[Row]) -> Vec<Row> {
    let mut left = MOST_BYTES;
    let fits = |row: &&Row| {
        let rest = left.checked_sub(row.sample.bytes().len());
        left = rest.unwrap_or(0);
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
    fn a_page_is_told_only_where_every_row_of_it_was_kept() {
        let whole = Synthetic::Topics.generate();
        let glance = DatasetPreview::of(&whole);
        let test = glance.part(Split::Test);
        assert_eq!((glance.train.rows, test.rows), (8000, 2000));
        assert_eq!(test.class_counts, class_counts(&whole.test, 4));
        assert_eq!(test.page(7, 3), Some(&whole.test[7..10]));
        assert_eq!(test.page(90, 20), None);
        assert_eq!(test.page(2000, 20), Some(&[][..]), "there is none");

        let long = Row { label: 0, sample: Sample::Text("x".repeat(100 << 10)) };
        let info = DatasetInfo { classes: vec!["a".to_owned(), "b".to_owned()], ..whole.info };
        let short = Row { label: 1, sample: Sample::Text("short".to_owned()) };
        let train = vec![long.clone(), long.clone(), long.clone(), short.clone()];
        let glance = DatasetPreview::of(&Dataset { info, train, test: vec![short.clone()] });
        assert_eq!(glance.train.page(0, 2), Some(&[long.clone(), long][..]));
        assert_eq!(glance.train.page(0, 3), None, "the third is one too many");
        assert_eq!(glance.train.class_counts, [3, 1]);
        // All that there is, however many were asked for.
        assert_eq!(glance.test.page(0, 20), Some(&[short][..]));
        assert_eq!(glance.test.page(5, 20), Some(&[][..]));
    }
}
