//! Embedded datasets, generated from a fixed seed by integer arithmetic alone: the same rows on
//! every machine, without a download.

mod shapes;
mod topics;

use protocol::dataset::{DatasetInfo, SampleShape};
use protocol::{RngDomain, SeededRng};

use crate::{Dataset, Row};

const SEED: u64 = 20_250_101;

/// Embedded dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synthetic {
    /// Short texts on four topics with overlapping vocabularies.
    Topics,
    /// Four kinds of noisy shapes, dark on bright or bright on dark.
    Shapes,
}

impl Synthetic {
    pub const ALL: [Self; 2] = [Self::Topics, Self::Shapes];

    /// Returns the name in the catalog.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topics => "synthetic",
            Self::Shapes => "synthetic_images",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|synthetic| synthetic.name() == name)
    }

    /// Returns the metadata without generating rows.
    pub fn info(self) -> DatasetInfo {
        let (sample, classes) = match self {
            Self::Topics => (SampleShape::Text, topics::CLASSES),
            Self::Shapes => (shapes::SHAPE, shapes::CLASSES),
        };
        let (train_rows, test_rows) = self.rows();
        DatasetInfo {
            name: self.name().to_owned(),
            sample,
            classes: classes.map(str::to_owned).to_vec(),
            train_rows,
            validation_rows: 0,
            test_rows,
            version: 1,
            source: "embedded".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
        }
    }

    /// Generates all rows.
    pub fn generate(self) -> Dataset {
        let (train, test) = self.rows();
        let (train, test) = (self.split(0, train), self.split(1, test));
        Dataset { info: self.info(), train, validation: Vec::new(), test }
    }

    const fn rows(self) -> (u64, u64) {
        match self {
            Self::Topics => (8_000, 2_000),
            Self::Shapes => (6_000, 1_500),
        }
    }

    /// Generates rows. Each row has its own random stream, so that it does not depend on other
    /// rows' draws.
    fn split(self, split: u32, rows: u64) -> Vec<Row> {
        (0..rows)
            .map(|index| {
                let kind = match self {
                    Self::Topics => 0,
                    Self::Shapes => 1,
                };
                let mut rng = SeededRng::new(RngDomain::SyntheticData, SEED, split, kind, index);
                match self {
                    Self::Topics => topics::draw(&mut rng),
                    Self::Shapes => shapes::draw(&mut rng),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard;

    #[test]
    fn the_rows_are_stable() {
        let digests = Synthetic::ALL.map(|synthetic| {
            let dataset = synthetic.generate();
            let rows: Vec<&Row> = dataset.train.iter().chain(&dataset.test).collect();
            blake3::hash(&shard::write(dataset.info.sample, &rows)).to_hex().to_string()
        });
        assert_eq!(digests, PINNED);
    }
    const PINNED: [&str; 2] = [
        "45049f3d0423c888f1f77013cf4fca7bbac853b25191b3289f517ef33dc467f9",
        "9121c43330c141f8298ac158257f043a622ac85b88c305e53e5ef2fa2f811733",
    ];

    #[test]
    fn the_info_matches_the_rows() {
        for synthetic in Synthetic::ALL {
            let Dataset { info, train, test, .. } = synthetic.generate();
            assert_eq!((train.len() as u64, test.len() as u64), (info.train_rows, info.test_rows));
            for class in 0..u32::try_from(info.classes.len()).unwrap() {
                for (rows, most) in [(&train, train.len() / 3), (&test, test.len() / 3)] {
                    let count = rows.iter().filter(|row| row.label == class).count();
                    assert!(count > rows.len() / 6 && count < most, "{count}");
                }
            }
            assert_eq!(Synthetic::named(synthetic.name()), Some(synthetic));
        }
    }
}
