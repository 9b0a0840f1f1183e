//! Texts without labels, and tables of pixels.

use super::case::{Case, ab, lines};

pub(crate) fn cases() -> Vec<Case> {
    let sentences = lines(24, |n| format!("This is line {n}, with some words; and more.\n"));
    let paragraphs =
        lines(24, |n| format!("Speaker {n}:\nA line of the play, spoken.\nAnother one.\n\n"));
    let none: &[&str] = &[];
    let mut cases = vec![
        Case::new("a text of lines", "x.txt", sentences.clone())
            .classes(none)
            .has("This is line 7, with some words; and more."),
        Case::new("a text of paragraphs", "x.txt", paragraphs)
            .classes(none)
            .has("Speaker 3:\nA line of the play, spoken.\nAnother one."),
        Case::new("a text with CRLF", "x.txt", sentences.replace('\n', "\r\n")).classes(none),
        Case::new(
            "a table of texts alone",
            "x.jsonl",
            lines(24, |n| format!("{{\"text\":\"words of row {n}\"}}\n")),
        )
        .classes(none),
        Case::new(
            "texts with ids",
            "x.csv",
            format!("id,text\n{}", lines(24, |n| format!("{n},words of row {n}\n"))),
        )
        .classes(none),
        Case::new(
            "a column of texts",
            "x.csv",
            format!("text\n{}", lines(24, |n| format!("words of row {n}\n"))),
        )
        .classes(none),
        Case::new(
            "labels of fastText",
            "x.txt",
            lines(24, |n| format!("__label__{} words of row {n}\n", ab(n))),
        )
        .has("words of row 7"),
    ];
    let labeled = lines(24, |n| format!("words of row {n},{}\n", ab(n)));
    cases.push(
        Case::new("texts alone by option", "x.csv", format!("text,label\n{labeled}"))
            .with(|options| options.task = Some(protocol::dataset::import::DatasetTask::Language))
            .classes(none)
            .splits(0, 3),
    );
    let image = |row: usize, scale: &dyn Fn(usize) -> String, side: usize| {
        let pixels: Vec<String> = (0..side * side).map(|at| scale((row * 7 + at) % 17)).collect();
        pixels.join(",")
    };
    let sixteen = |value: usize| value.to_string();
    let floats = |value: usize| format!("{value}.0");
    let unit = |value: usize| format!("{:.4}", value as f64 / 16.0);
    let bytes = |value: usize| (value * 255 / 16).to_string();
    for (kind, scale) in [
        ("pixels from 0 to 16", &sixteen as &dyn Fn(usize) -> String),
        ("the digits of scikit-learn as floats", &floats),
        ("pixels from 0 to 1", &unit),
        ("pixels from 0 to 255", &bytes),
    ] {
        let rows = lines(40, |n| format!("{},{}\n", image(n, scale, 8), n % 4));
        cases.push(
            Case::new(kind, "x.csv", rows)
                .rows(40)
                .classes(&["0", "1", "2", "3"])
                .understood("gray images of 8×8 pixels"),
        );
    }
    let names: Vec<String> = (0..784).map(|at| format!("pixel{at}")).collect();
    let rows = lines(40, |n| format!("{},{}\n", n % 4, image(n, &bytes, 28)));
    cases.push(
        Case::new("the digits of Kaggle", "x.csv", format!("label,{}\n{rows}", names.join(",")))
            .rows(40)
            .classes(&["0", "1", "2", "3"])
            .understood("gray images of 28×28 pixels"),
    );
    cases
}
