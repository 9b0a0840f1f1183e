//! Class names: those that differ only by case, spaces, Unicode form, invisible characters, or `1`/`1.0`.

use std::collections::{BTreeMap, HashMap};

use icu_normalizer::ComposingNormalizerBorrowed;
use protocol::text;

use super::profile::number;

/// Returns a label without invisible characters and spaces around it.
pub(super) fn visible(label: &str) -> String {
    text::cleaned(label)
}

/// Returns what similar names have in common.
fn common(name: &str) -> String {
    let visible: String = name
        .chars()
        .filter(|character| {
            !text::is_hidden(*character) && !matches!(character, '\u{200c}' | '\u{200d}' | '\u{ad}')
        })
        .collect();
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(&visible).to_lowercase();
    let words: Vec<&str> = normal.split_whitespace().collect();
    let words = words.join(" ");
    match number(&words) {
        Some(number) => number.to_string(),
        None => words,
    }
}

/// Groups of similar names, the most frequent one first.
pub(super) fn similar(counts: &HashMap<String, u64>) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for name in counts.keys() {
        groups.entry(common(name)).or_default().push(name);
    }
    let several = groups.into_values().filter(|names| names.len() > 1);
    several
        .map(|mut names| {
            names.sort_by_key(|name| {
                (std::cmp::Reverse(counts[*name]), name.len(), std::cmp::Reverse(*name))
            });
            names.into_iter().cloned().collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_grouped_with_the_most_frequent_first() {
        let groups = |names: &[(&str, u64)]| {
            let counts = names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            similar(&counts)
        };
        assert_eq!(groups(&[("1", 5), ("1.0", 4), ("2", 3)]), [["1", "1.0"]]);
        assert_eq!(groups(&[("Spam", 1), ("spam", 9), ("SPAM", 2)]), [["spam", "SPAM", "Spam"]]);
        assert_eq!(groups(&[("caf\u{e9}", 2), ("cafe\u{301}", 1)]), [["caf\u{e9}", "cafe\u{301}"]]);
        assert_eq!(groups(&[("a  b", 1), ("a\u{a0}b", 2)]), [["a\u{a0}b", "a  b"]]);
        assert!(groups(&[("10", 1), ("1", 1), ("one", 1)]).is_empty());
    }
}
