//! Names that state the role of a column, and words that state a missing value.

use std::collections::HashSet;

/// Names of a label column that nothing else has.
const LABELS: [&str; 12] = [
    "label",
    "labels",
    "class",
    "target",
    "class_index",
    "class_name",
    "class_label",
    "label_name",
    "label_text",
    "y",
    "classlabel",
    "ground_truth",
];
/// Names of columns that are often the label.
const LIKELY_LABELS: [&str; 18] = [
    "category",
    "sentiment",
    "stars",
    "rating",
    "topic",
    "intent",
    "polarity",
    "score",
    "overall",
    "emotion",
    "species",
    "genre",
    "language",
    "lang",
    "tag",
    "verdict",
    "airline_sentiment",
    "product",
];
const TITLES: [&str; 5] = ["title", "subject", "headline", "summary", "name"];
const TEXTS: [&str; 19] = [
    "text",
    "content",
    "review",
    "sentence",
    "description",
    "body",
    "message",
    "comment",
    "document",
    "article",
    "utterance",
    "question",
    "tweet",
    "review_text",
    "reviewtext",
    "review_body",
    "sms",
    "comment_text",
    "abstract",
];
const SPLITS: [&str; 8] =
    ["split", "set", "subset", "partition", "data_split", "usage", "dataset_split", "fold"];
const MISSING: [&str; 5] = ["na", "n/a", "nan", "null", "none"];

/// Strength of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelName {
    Certain,
    Likely,
}

pub(super) fn label_name(name: &str) -> Option<LabelName> {
    let name = normal(name);
    if LABELS.contains(&name.as_str()) {
        Some(LabelName::Certain)
    } else if LIKELY_LABELS.contains(&name.as_str()) {
        Some(LabelName::Likely)
    } else {
        None
    }
}

/// Returns the place of a label's name among the names. A lower one wins.
pub(super) fn label_rank(name: &str) -> usize {
    let name = normal(name);
    LABELS.iter().position(|known| *known == name).unwrap_or(usize::MAX)
}

/// Returns the label column by its name.
pub(in crate::import) fn label_by_name(names: &[String]) -> Option<usize> {
    let find = |strength| {
        let columns = (0..names.len()).filter(|at| label_name(&names[*at]) == Some(strength));
        columns.min_by_key(|at| label_rank(&names[*at]))
    };
    find(LabelName::Certain).or_else(|| find(LabelName::Likely))
}

pub(super) fn is_split_name(name: &str) -> bool {
    SPLITS.contains(&normal(name).as_str())
}

/// Returns the title and the text column by their names.
pub(super) fn text_columns(names: &[String]) -> Vec<usize> {
    let names: Vec<String> = names.iter().map(|name| normal(name)).collect();
    let first =
        |known: &[&str]| known.iter().find_map(|word| names.iter().position(|name| name == word));
    first(&TITLES).into_iter().chain(first(&TEXTS)).collect()
}

/// Returns whether a name is a typical one of a label, a text or a split.
pub(super) fn is_known(name: &str) -> bool {
    let normal = normal(name);
    let name = normal.as_str();
    label_name(name).is_some() || TITLES.contains(&name) || TEXTS.contains(&name)
}

/// Returns whether a name is a pixel's, such as `pixel12`, `3x7` or `5`.
pub(super) fn is_pixel(name: &str) -> bool {
    let name = normal(name);
    let rest = ["pixel", "px", "pix"].iter().find_map(|word| name.strip_prefix(word));
    let rest = rest.unwrap_or(&name);
    rest.bytes().all(|byte| byte.is_ascii_digit() || b"x_.".contains(&byte))
}

/// Returns a name in lower case with underscores.
pub(super) fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Words that state a missing value, in any case.
#[derive(Debug, Clone)]
pub(super) struct MissingValues(HashSet<String>);

impl MissingValues {
    pub(super) fn new(words: Option<&[String]>) -> Self {
        let words = words.map_or_else(
            || MISSING.map(str::to_owned).to_vec(),
            |words| words.iter().map(|word| word.trim().to_lowercase()).collect(),
        );
        Self(words.into_iter().collect())
    }

    pub(super) fn contains(&self, cell: &str) -> bool {
        let cell = cell.trim();
        cell.is_empty() || (cell.len() <= 20 && self.0.contains(&cell.to_lowercase()))
    }

    pub(super) fn to_list(&self) -> Vec<String> {
        let mut words: Vec<String> =
            self.0.iter().filter(|word| !word.is_empty()).cloned().collect();
        words.sort();
        words
    }
}
