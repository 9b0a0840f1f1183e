//! The datasets that are known by name, and what is known of them before a byte is read.

use protocol::dataset::{DatasetInfo, SampleShape};

/// One line of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueEntry {
    pub name: String,
    pub sample: SampleShape,
    /// `embedded`, `uploaded`, or the hub's repository.
    pub source: String,
    pub licence: String,
    /// Where a load would take it from now.
    pub origin: Origin,
    /// Classes and counts, where they are known without a download.
    pub info: Option<DatasetInfo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made by this program.
    Embedded,
    /// In the folder that `CONSTELLATION_DATA_DIR` names.
    Local,
    /// In the hub's cache on this machine.
    Cached,
    /// On the hub: a load downloads it.
    Hub,
    /// Added by a person.
    Uploaded,
}

impl Origin {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Local => "local",
            Self::Cached => "cached",
            Self::Hub => "hub",
            Self::Uploaded => "uploaded",
        }
    }
}

/// A dataset of the hub.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    pub name: &'static str,
    pub repository: &'static str,
    pub sample: SampleShape,
    pub columns: PublishedColumns,
    /// Used where the files name no classes themselves.
    pub classes: &'static [&'static str],
    pub licence: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub enum PublishedColumns {
    /// Columns whose texts are joined by a space.
    Texts(&'static [&'static str]),
    /// The column of an image's encoded bytes.
    Image(&'static str),
}

impl Published {
    pub fn named(name: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|published| published.name == name)
    }
}

const TEXT: PublishedColumns = PublishedColumns::Texts(&["text"]);
const IMAGE: PublishedColumns = PublishedColumns::Image("image.bytes");
const SIZE_28: SampleShape = SampleShape::Image { channels: 1, height: 28, width: 28 };
const RESEARCH: &str = "for research; see the publisher's terms";

pub const PUBLISHED: &[Published] = &[
    Published {
        name: "ag_news",
        repository: "fancyzhx/ag_news",
        sample: SampleShape::Text,
        columns: TEXT,
        classes: &["World", "Sports", "Business", "Sci/Tech"],
        licence: RESEARCH,
    },
    Published {
        name: "imdb",
        repository: "stanfordnlp/imdb",
        sample: SampleShape::Text,
        columns: TEXT,
        classes: &["neg", "pos"],
        licence: RESEARCH,
    },
    Published {
        name: "yelp",
        repository: "fancyzhx/yelp_polarity",
        sample: SampleShape::Text,
        columns: TEXT,
        classes: &["1", "2"],
        licence: "Yelp's dataset licence",
    },
    Published {
        name: "yelp_full",
        repository: "Yelp/yelp_review_full",
        sample: SampleShape::Text,
        columns: TEXT,
        classes: &["1 star", "2 star", "3 stars", "4 stars", "5 stars"],
        licence: "Yelp's dataset licence",
    },
    Published {
        name: "amazon",
        repository: "fancyzhx/amazon_polarity",
        sample: SampleShape::Text,
        columns: PublishedColumns::Texts(&["title", "content"]),
        classes: &["negative", "positive"],
        licence: "Apache-2.0",
    },
    Published {
        name: "mnist",
        repository: "ylecun/mnist",
        sample: SIZE_28,
        columns: IMAGE,
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        licence: "MIT",
    },
    Published {
        name: "fashion_mnist",
        repository: "zalando-datasets/fashion_mnist",
        sample: SIZE_28,
        columns: IMAGE,
        classes: &[
            "T - shirt / top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        licence: "MIT",
    },
];
