//! Short texts on four topics. Most words are common, some belong to the text's own topic and some
//! to another one, and some words belong to two topics. A bag of words reaches a high accuracy, but
//! not 100 %.

use protocol::SeededRng;

use crate::{Row, Sample};

pub(super) const CLASSES: [&str; 4] = ["nature", "music", "space", "kitchen"];

/// Out of 100 words, the number from the text's own topic and the number from any topic.
const OWN: u64 = 27;
const ANY: u64 = 14;

pub(super) fn draw(rng: &mut SeededRng) -> Row {
    let topic = rng.index(CLASSES.len());
    let length = 10 + rng.below(21);
    let mut text = String::new();
    for _ in 0..length {
        let percent = rng.below(100);
        let words = if percent < OWN {
            TOPICS[topic]
        } else if percent < OWN + ANY {
            TOPICS[rng.index(TOPICS.len())]
        } else {
            COMMON
        };
        if !text.is_empty() {
            text.push(' ');
        }
        // The lesser of two draws: early words are frequent, late ones rare.
        text.push_str(words[rng.index(words.len()).min(rng.index(words.len()))]);
    }
    Row { label: u32::try_from(topic).unwrap_or(0), sample: Sample::Text(text) }
}

const TOPICS: [&[&str]; 4] = [
    &[
        "river",
        "forest",
        "star",
        "mountain",
        "season",
        "bass",
        "wind",
        "leaf",
        "salt",
        "bark",
        "wave",
        "bird",
        "field",
        "rain",
        "moon",
        "root",
        "stone",
        "wolf",
        "meadow",
        "thyme",
        "valley",
        "storm",
        "pepper",
        "branch",
        "lake",
        "horn",
        "fern",
        "dust",
        "otter",
        "pine",
        "scale",
        "cliff",
        "heron",
        "moss",
        "tide",
        "atmosphere",
        "clove",
        "acorn",
        "drift",
        "hare",
    ],
    &[
        "song",
        "scale",
        "bass",
        "chord",
        "drum",
        "record",
        "star",
        "wave",
        "rhythm",
        "jam",
        "horn",
        "violin",
        "key",
        "choir",
        "fork",
        "note",
        "tempo",
        "stage",
        "album",
        "pitch",
        "signal",
        "piano",
        "reed",
        "harmony",
        "beat",
        "roll",
        "concert",
        "tune",
        "atmosphere",
        "quartet",
        "opera",
        "string",
        "mix",
        "cello",
        "refrain",
        "whisk",
        "lyric",
        "flute",
        "bridge",
        "encore",
    ],
    &[
        "star",
        "orbit",
        "moon",
        "rocket",
        "wave",
        "dust",
        "signal",
        "planet",
        "launch",
        "ring",
        "dish",
        "comet",
        "gravity",
        "scale",
        "atmosphere",
        "probe",
        "galaxy",
        "stage",
        "crater",
        "telescope",
        "field",
        "plate",
        "wind",
        "solar",
        "shuttle",
        "stone",
        "beat",
        "capsule",
        "meteor",
        "lunar",
        "eclipse",
        "module",
        "nebula",
        "storm",
        "antenna",
        "docking",
        "asteroid",
        "pitch",
        "quasar",
        "rover",
    ],
    &[
        "salt", "pan", "oven", "dish", "bread", "jam", "pepper", "roll", "butter", "plate", "bass",
        "fork", "soup", "leaf", "mix", "season", "recipe", "onion", "beat", "garlic", "root",
        "flour", "thyme", "simmer", "scale", "sauce", "clove", "whisk", "stock", "grill", "ring",
        "spoon", "dough", "lemon", "kettle", "roast", "stone", "vanilla", "ladle", "reed",
    ],
];

const COMMON: &[&str] = &[
    "the", "a", "of", "and", "in", "to", "it", "was", "with", "on", "that", "for", "one", "this",
    "there", "over", "all", "we", "they", "when", "after", "some", "new", "old", "long", "then",
    "early", "again", "found", "small", "great", "first", "last", "made", "near", "under", "about",
    "every", "quiet", "bright", "slow", "still", "day", "night", "people", "place", "year", "way",
    "kept", "began", "seen", "left", "heard", "good", "often", "never", "between", "around",
    "together", "perhaps",
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::synthetic::Synthetic;

    /// Naive Bayes with Laplace smoothing is close to the best possible with a bag of words.
    #[test]
    fn a_bag_of_words_reaches_a_high_accuracy_but_not_100_percent() {
        let dataset = Synthetic::Topics.generate();
        let mut counts: HashMap<&str, [f64; 4]> = HashMap::new();
        let mut totals = [0.0; 4];
        for row in &dataset.train {
            for word in tokens(row) {
                counts.entry(word).or_insert([1.0; 4])[row.label as usize] += 1.0;
                totals[row.label as usize] += 1.0;
            }
        }
        let right = dataset.test.iter().filter(|row| {
            let score = |class: usize| -> f64 {
                tokens(row)
                    .filter_map(|word| counts.get(word))
                    .map(|count| (count[class] / totals[class]).ln())
                    .sum()
            };
            let best = (0..4).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap();
            best == row.label as usize
        });
        let accuracy = right.count() as f64 / dataset.test.len() as f64;
        assert!((0.90..0.96).contains(&accuracy), "{accuracy}");
    }

    fn tokens(row: &Row) -> impl Iterator<Item = &str> {
        match &row.sample {
            Sample::Text(text) => text.split(' '),
            Sample::Image(_) => panic!("a text"),
        }
    }
}
