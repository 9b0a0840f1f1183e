//! Several files of one dataset, and splits named in a column.

use protocol::dataset::import::SplitName;

use super::case::{Case, ab, lines};

pub(crate) fn cases() -> Vec<Case> {
    let part = |from: usize, to: usize| {
        let rows = lines(to - from, |n| format!("words of row {},{}\n", from + n, ab(n)));
        format!("text,label\n{rows}")
    };
    let turned = |from: usize, to: usize| {
        let rows = lines(to - from, |n| format!("{n},{},words of row {}\n", ab(n), from + n));
        format!("helpful,label,text\n{rows}")
    };
    let mut cases = vec![
        Case::new("train and test", "train.csv", part(0, 20))
            .and("test.csv", part(20, 24))
            .splits(0, 4),
        Case::new("train, validation and test", "train.csv", part(0, 16))
            .and("val.csv", part(16, 20))
            .and("test.csv", part(20, 24))
            .splits(4, 4),
        Case::new("the same columns in another order", "train.csv", part(0, 20))
            .and("test.csv", turned(20, 24))
            .splits(0, 4)
            .has("words of row 21"),
        Case::new("validation alone", "train.csv", part(0, 20))
            .and("dev.csv", part(20, 24))
            .splits(4, 2),
        Case::new("parts of one table", "part-0001.csv", part(0, 12))
            .and("part-0002.csv", part(12, 24)),
        Case::new("parts of both splits", "train-00000-of-00002.csv", part(0, 10))
            .and("train-00001-of-00002.csv", part(10, 20))
            .and("test-00000-of-00001.csv", part(20, 24))
            .splits(0, 4),
    ];
    let unlabeled = lines(6, |n| format!("words of row {n}\n"));
    cases.push(
        Case::new("a test file without labels", "train.csv", part(0, 24))
            .and("test.csv", format!("text\n{unlabeled}"))
            .warns("has no label column"),
    );
    let column = |name: &str, values: [&str; 3]| {
        let rows = lines(24, |n| {
            let split = if n < 16 { 0 } else { 1 + n % 2 };
            format!("words of row {n},{},{}\n", ab(n / 2), values[split])
        });
        format!("text,label,{name}\n{rows}")
    };
    for (name, values) in [
        ("split", ["train", "validation", "test"]),
        ("Split", ["TRAIN", "VAL", "TEST"]),
        ("subset", ["training", "dev", "testing"]),
    ] {
        let kind = "a column that names the split";
        cases.push(Case::new(kind, "x.csv", column(name, values)).splits(4, 4));
    }
    cases.push(
        Case::new("other names of splits by option", "x.csv", column("split", ["0", "1", "2"]))
            .with(|options| {
                let splits =
                    [("0", SplitName::Train), ("1", SplitName::Validation), ("2", SplitName::Test)];
                options.splits = Some(splits.map(|(name, split)| (name.to_owned(), split)).into());
            })
            .splits(4, 4),
    );
    cases
}
