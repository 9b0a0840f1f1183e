//! Inputs that leave a decision open. The refusal names a flag, and with that flag the same bytes import.

use data::DataError;
use protocol::dataset::import::ImportOptions;

use super::case::{Case, ab, lines};
use super::workbook;

/// Case, the flag that its refusal names, and the options that the flag sets.
pub(crate) type Refused = (Case, &'static str, fn(&mut ImportOptions));

pub(crate) fn cases() -> Vec<Refused> {
    let two = lines(24, |n| format!("words of row {n},{},{}\n", ab(n), ["x", "y", "z"][n % 3]));
    let numbers = lines(24, |n| format!("{}.5,{},{}\n", n, n * 3, ab(n)));
    let several = lines(24, |n| format!("ab{n},cd{n},{}\n", ab(n)));
    let ids = lines(24, |n| format!("ab{n},cd{n}\n"));
    let sentiment =
        lines(24, |n| format!("words of row {n},{},{}\n", ab(n), ["x", "y", "z"][n % 3]));
    let splits = lines(24, |n| {
        format!("words of row {n},{},{}\n", ab(n), if n < 20 { "train" } else { "other" })
    });
    let many = lines(3000, |n| format!("words of row {n},id{n},{}\n", ab(n)));
    vec![
        (
            Case::new("a workbook with two sheets", "x.xlsx", workbook::several()),
            "--sheet",
            |options| options.sheet = Some("Data".to_owned()),
        ),
        (
            Case::new("two columns that repeat", "x.csv", format!("q,kind,group\n{two}")),
            "--label",
            |options| options.label = Some("kind".to_owned()),
        ),
        (
            Case::new(
                "two columns with names of labels",
                "x.csv",
                format!("text,sentiment,topic\n{sentiment}"),
            ),
            "--label",
            |options| options.label = Some("sentiment".to_owned()),
        ),
        (
            Case::new("numbers alone", "x.csv", format!("width,height,label\n{numbers}")),
            "--text",
            |options| options.text = Some(vec!["height".to_owned()]),
        ),
        (
            Case::new("two columns of short texts", "x.csv", format!("one,two,label\n{several}")),
            "--text",
            |options| options.text = Some(vec!["two".to_owned()]),
        ),
        (
            Case::new(
                "a value of the split column that is no split",
                "x.csv",
                format!("text,label,split\n{splits}"),
            ),
            "--split",
            |options| {
                let split = protocol::dataset::import::SplitName::Test;
                options.splits = Some([("other".to_owned(), split)].into());
            },
        ),
        (
            Case::new("a label column of ids", "x.csv", format!("text,label,kind\n{many}"))
                .rows(3000),
            "--label",
            |options| options.label = Some("kind".to_owned()),
        ),
        (
            Case::new("a first row that could be any", "x.csv", format!("abx,cdx\n{ids}"))
                .rows(25)
                .classes(&[]),
            "--no-header",
            |options| {
                options.header = Some(false);
                options.text = Some(vec!["1".to_owned(), "2".to_owned()]);
                options.task = Some(protocol::dataset::import::DatasetTask::Language);
            },
        ),
    ]
}

pub(crate) fn check(cases: Vec<Refused>) {
    let mut wrong = Vec::new();
    for (case, flag, change) in cases {
        match case.read(&case.options) {
            Err(DataError::Undecided { questions, .. }) => {
                if !questions.iter().any(|question| question.flag == flag) {
                    wrong.push(format!("{}: {questions:?}", case.kind));
                }
            }
            Err(error) => wrong.push(format!("{}: {error}", case.kind)),
            Ok((_, report)) => wrong.push(format!("{}: {}", case.kind, report.understood)),
        }
        let mut options = case.options.clone();
        change(&mut options);
        let differences = case.differences(&options);
        if !differences.is_empty() {
            wrong.push(format!("{} with {flag}: {}", case.kind, differences.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
