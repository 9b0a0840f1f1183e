//! Splits as files, folders and values of a column name them.

use protocol::dataset::import::{ImportOptions, SplitName};

const TRAIN: [&str; 5] = ["train", "training", "trn", "fit", "learn"];
const VALIDATION: [&str; 6] = ["validation", "valid", "val", "dev", "development", "eval"];
const TEST: [&str; 5] = ["test", "testing", "tst", "holdout", "heldout"];

/// Returns the split that a whole name states, such as a folder's or a value's. Case is ignored. The
/// options come first.
pub(crate) fn split_named(name: &str, options: &ImportOptions) -> Option<SplitName> {
    let name = name.trim();
    if let Some(splits) = &options.splits
        && let Some((_, split)) = splits.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        return Some(*split);
    }
    let name = name.to_lowercase();
    let is = |words: &[&str]| words.contains(&name.as_str());
    if is(&TRAIN) {
        Some(SplitName::Train)
    } else if is(&VALIDATION) {
        Some(SplitName::Validation)
    } else if is(&TEST) {
        Some(SplitName::Test)
    } else {
        None
    }
}

/// Returns the split that a file's name states with its first or its last word, such as `train.csv`,
/// `test-00000-of-00001.parquet` or `reviews_val.csv`.
pub(crate) fn split_of_file(file: &str, options: &ImportOptions) -> Option<SplitName> {
    let stem = file.split('.').next().unwrap_or(file);
    if let Some(split) = split_named(file, options).or_else(|| split_named(stem, options)) {
        return Some(split);
    }
    let words: Vec<&str> = stem
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty() && *word != "of" && word.parse::<u64>().is_err())
        .collect();
    let named = |word: Option<&&str>| word.and_then(|word| split_named(word, options));
    named(words.first()).or_else(|| named(words.last()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_their_split_with_the_first_or_last_word() {
        let options = ImportOptions::default();
        for (file, split) in [
            ("train.csv", Some(SplitName::Train)),
            ("Training_data.csv", Some(SplitName::Train)),
            ("train-00000-of-00002.parquet", Some(SplitName::Train)),
            ("reviews_val.csv", Some(SplitName::Validation)),
            ("dev.jsonl.gz", Some(SplitName::Validation)),
            ("validation-00000-of-00001.parquet", Some(SplitName::Validation)),
            ("test1.csv", None),
            ("latest.csv", None),
            ("x-test-2.csv", Some(SplitName::Test)),
            ("reviews.csv", None),
        ] {
            assert_eq!(split_of_file(file, &options), split, "{file}");
        }
    }

    #[test]
    fn options_name_splits_too() {
        let splits = [("test1".to_owned(), SplitName::Test), ("VAL".to_owned(), SplitName::Test)];
        let options = ImportOptions { splits: Some(splits.into()), ..ImportOptions::default() };
        assert_eq!(split_of_file("test1.csv", &options), Some(SplitName::Test));
        assert_eq!(split_named("val", &options), Some(SplitName::Test));
        assert_eq!(split_named("dev", &options), Some(SplitName::Validation));
    }
}
