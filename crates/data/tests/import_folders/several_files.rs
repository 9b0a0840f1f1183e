//! Several tables in one import: splits by name, parts, and what is left out.

use protocol::dataset::import::{FileRole, ImportOptions, SplitName};

use crate::case::Case;
use crate::make::{Files, csv, file, folder, gzip, six, zip};

fn texts(from: &[(&str, usize)], class: usize) -> Vec<String> {
    let rows = from
        .iter()
        .flat_map(|(from, rows)| (0..*rows).map(move |row| (row, format!("{from} {row}"))));
    rows.filter(|(row, _)| row % 2 == class).map(|(_, text)| text).collect()
}

fn expects(case: Case, from: &[(&str, usize)]) -> Case {
    case.class("ham", &texts(from, 0)).class("spam", &texts(from, 1))
}

fn table(name: &str, from: &str, rows: usize) -> Files {
    file(name, csv(from, rows, ["ham", "spam"]))
}

fn three(train: &str, validation: &str, test: &str) -> Files {
    [table(train, "a", 12), table(validation, "b", 4), table(test, "c", 6)].concat()
}

fn splits(names: &[(&str, SplitName)]) -> ImportOptions {
    let splits = names.iter().map(|(name, split)| ((*name).to_owned(), *split)).collect();
    ImportOptions { splits: Some(splits), ..ImportOptions::default() }
}

#[test]
fn import_folder_cases_of_several_tables() {
    let all = [("a", 12), ("b", 4), ("c", 6)];
    let named = [
        ("plain names", three("train.csv", "val.csv", "test.csv")),
        ("words before and after", three("sms_train.csv", "sms_dev.csv", "sms_test.csv")),
        ("folders", three("train/a.csv", "validation/a.csv", "test/a.csv")),
        ("a folder around", three("data/train.csv", "data/valid.csv", "data/test.csv")),
    ];
    for (name, files) in named {
        expects(Case::new(name, file("a.zip", zip(&files))), &all).splits(12, 4, 6).check();
    }
    let years = splits(&[
        ("2019.csv", SplitName::Train),
        ("2020.csv", SplitName::Validation),
        ("2021.csv", SplitName::Test),
    ]);
    let mut packed = table("test.csv", "c", 6);
    packed.extend(file("train.csv.gz", gzip(&csv("a", 12, ["ham", "spam"]))));
    let mut parts = Files::new();
    for part in [10, 9, 8, 1] {
        parts.extend(table(&format!("part-{part}.csv"), &format!("p{part}"), 4));
    }
    let of_parts = [("p1", 4), ("p8", 4), ("p9", 4), ("p10", 4)];
    let mut with_others = three("train.csv", "val.csv", "test.csv");
    with_others.extend(file("sample_submission.csv", "id,label\n1,x\n"));
    with_others.extend(file("README.txt", "about"));
    with_others.extend(file("figures/plot.png", crate::make::png(4, 3, 9)));
    let unclear = [table("first.csv", "a", 12), table("second.csv", "c", 6)].concat();
    let two_sets = [table("en/train.csv", "a", 12), table("de/train.csv", "b", 12)].concat();
    let cases = [
        expects(
            Case::new("several files of one command", three("train.csv", "val.csv", "test.csv")),
            &all,
        )
        .splits(12, 4, 6),
        expects(
            Case::new("years", file("a.zip", zip(&three("2019.csv", "2020.csv", "2021.csv"))))
                .options(years),
            &all,
        )
        .splits(12, 4, 6),
        expects(
            Case::new("a packed table beside another", file("a.zip", zip(&packed))),
            &[("a", 12), ("c", 6)],
        )
        .splits(12, 0, 6),
        expects(Case::new("parts", file("a.zip", zip(&parts))), &of_parts),
        expects(
            Case::new("roles", [table("one.csv", "a", 12), table("two.csv", "c", 6)].concat()),
            &[("a", 12), ("c", 6)],
        )
        .role("one.csv", FileRole::Train)
        .role("two.csv", FileRole::Test)
        .splits(12, 0, 6),
        expects(Case::new("other files beside the tables", file("a.zip", zip(&with_others))), &all)
            .splits(12, 4, 6)
            .left_out("its name states no split", 1)
            .left_out("document", 1)
            .left_out("beside the tables", 1),
        expects(
            Case::new(
                "a table and its test split",
                [table("sms.csv", "a", 12), table("sms_test.csv", "c", 6)].concat(),
            ),
            &[("a", 12), ("c", 6)],
        )
        .splits(12, 0, 6)
        .warns("sms.csv is the training split"),
        expects(
            Case::new("two tables of unknown splits", file("a.zip", zip(&unclear))).refused(
                "--split",
                splits(&[("first.csv", SplitName::Train), ("second.csv", SplitName::Test)]),
            ),
            &[("a", 12), ("c", 6)],
        )
        .splits(12, 0, 6),
        expects(
            Case::new("two datasets", file("a.zip", zip(&two_sets)))
                .options(splits(&[("en", SplitName::Train)])),
            &[("a", 12)],
        )
        .left_out("its name states no split", 1),
        Case::new(
            "a table beside images",
            file(
                "a.zip",
                zip(&[
                    folder("cat", &six(10)),
                    folder("dog", &six(30)),
                    table("index.csv", "x", 4),
                ]
                .concat()),
            ),
        )
        .class("cat", &six(10))
        .class("dog", &six(30))
        .left_out("it is not an image", 1),
    ];
    cases.iter().for_each(Case::check);
}
