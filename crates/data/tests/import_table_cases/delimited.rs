//! Separators, quotes, line ends and damaged lines.

use protocol::dataset::import::{Quote, TestSplit};

use super::case::{Case, ab, lines, table};

pub(crate) fn cases() -> Vec<Case> {
    let cases = [separators(), quotes(), open_quotes(), damaged(), by_columns()];
    cases.into_iter().flatten().collect()
}

fn row(n: usize) -> String {
    format!("words of row {n}")
}

fn separators() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, name, separator) in [
        ("comma", "x.csv", ","),
        ("semicolon of a European Excel", "x.csv", ";"),
        ("tab", "x.tsv", "\t"),
        ("tab in a .csv", "x.csv", "\t"),
        ("pipe", "x.csv", "|"),
        ("tab in a .txt", "x.txt", "\t"),
        ("no file ending", "data", ","),
    ] {
        cases.push(Case::new(kind, name, table(separator, "\n")).has("words of row 7"));
    }
    for (kind, end) in [("CRLF", "\r\n"), ("CR of old Macs", "\r")] {
        cases.push(Case::new(kind, "x.csv", table(",", end)).has("words of row 23"));
    }
    cases.push(Case::new("no last line end", "x.csv", table(",", "\n").trim_end()));
    cases.push(Case::new("empty lines", "x.csv", table(",", "\n\n")));
    cases.push(Case::new("byte order mark", "x.csv", format!("\u{feff}{}", table(",", "\n"))));
    for separator in [";", ",", "\t"] {
        let text = format!("sep={separator}\r\n{}", table(separator, "\r\n"));
        cases.push(Case::new("a line sep= of Excel", "x.csv", text));
    }
    let tabs = lines(24, |n| format!("{}\tgo to {n}, then home, now; ok\n", ab(n)));
    cases.push(
        Case::new("tabs with commas in the text", "x.tsv", tabs).has("go to 3, then home, now; ok"),
    );
    let semicolons = lines(24, |n| format!("text {n}, with a comma, and two;{}\n", ab(n)));
    cases.push(Case::new(
        "semicolons with commas in the text",
        "x.csv",
        format!("text;label\n{semicolons}"),
    ));
    let decimals = lines(24, |n| format!("words of row {n};{n},5;{}\n", ab(n)));
    cases.push(Case::new("decimal commas", "x.csv", format!("text;price;label\n{decimals}")));
    let commas = lines(24, |n| format!("one; two {n},{}\n", ab(n)));
    cases.push(
        Case::new("a semicolon in each text", "x.csv", format!("text,label\n{commas}"))
            .has("one; two 5"),
    );
    cases
}

fn quotes() -> Vec<Case> {
    let mut cases = Vec::new();
    let quoted = lines(24, |n| format!("\"words, of row {n}\",\"{}\"\n", ab(n)));
    cases.push(
        Case::new("all values quoted", "x.csv", format!("\"text\",\"label\"\n{quoted}"))
            .has("words, of row 4"),
    );
    let doubled = lines(24, |n| format!("\"he said \"\"no {n}\"\", then\",{}\n", ab(n)));
    cases.push(
        Case::new("doubled quotes", "x.csv", format!("text,label\n{doubled}"))
            .has("he said \"no 9\", then"),
    );
    let spaced = lines(24, |n| format!("\"words, {n}\", \"{}\"\n", ab(n)));
    cases.push(
        Case::new("a space before the quote", "x.csv", format!("text, label\n{spaced}"))
            .has("words, 2"),
    );
    let broken =
        lines(24, |n| format!("\"line one of {n}\nline two, and\n\nline four\",{}\n", ab(n)));
    cases.push(
        Case::new("line breaks in quotes", "x.csv", format!("text,label\n{broken}"))
            .has("line one of 3\nline two, and\n\nline four"),
    );
    let inner = lines(24, |n| format!("\"the \"big\" one {n}\",{}\n", ab(n)));
    cases.push(
        Case::new("inner quotes that nobody doubled", "x.csv", format!("text,label\n{inner}"))
            .has("the \"big\" one 6"),
    );
    let single = lines(24, |n| format!("'words, of row {n}';'{}'\n", ab(n)));
    cases.push(
        Case::new("single quotes", "x.csv", format!("'text';'label'\n{single}"))
            .has("words, of row 8"),
    );
    let apostrophes = lines(24, |n| format!("'tis row {n},{}\n", ab(n)));
    cases.push(
        Case::new("apostrophes", "x.csv", format!("text,label\n{apostrophes}")).has("'tis row 8"),
    );
    let literal = lines(24, |n| format!("\"word {n}\",{}\n", ab(n)));
    cases.push(
        Case::new("quote none by option", "x.csv", format!("text,label\n{literal}"))
            .with(|options| options.quote = Some(Quote::None))
            .has("\"word 3\""),
    );
    cases
}

/// Quotes that nothing closes, and quotes that are part of the text.
fn open_quotes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, name, separator) in
        [("one open quote in a CSV", "x.csv", ","), ("one open quote in a TSV", "x.tsv", "\t")]
    {
        let open = lines(24, |n| {
            let quote = if n == 5 { "\"" } else { "" };
            format!("{quote}{}{separator}{}\n", row(n), ab(n))
        });
        cases.push(
            Case::new(kind, name, format!("text{separator}label\n{open}")).has("\"words of row 5"),
        );
    }
    let two = lines(24, |n| {
        let (open, close) = (if n == 5 { "\"" } else { "" }, if n == 14 { "\"" } else { "" });
        format!("{open}{}{close},{}\n", row(n), ab(n))
    });
    cases.push(
        Case::new(
            "an open quote that a later one seems to close",
            "x.csv",
            format!("text,label\n{two}"),
        )
        .warns("start with a quote that nothing closes"),
    );
    let inches = lines(24, |n| format!("{}\t5\" pipe {n}\n", ab(n)));
    cases.push(
        Case::new("inches in a TSV", "x.tsv", format!("label\ttext\n{inches}")).has("5\" pipe 3"),
    );
    let sms = lines(24, |n| format!("{}\t\"hi\" she said {n}\n", ab(n)));
    cases.push(
        Case::new("words in quotes at the start of a TSV value", "x.tsv", sms)
            .has("\"hi\" she said 3"),
    );
    cases
}

fn damaged() -> Vec<Case> {
    let mut cases = Vec::new();
    let nul = lines(24, |n| format!("words{}of {n},{}\n", if n == 7 { "\0" } else { " " }, ab(n)));
    cases.push(
        Case::new("a NUL byte in one row", "x.csv", format!("text,label\n{nul}")).rows(23).bad(1),
    );
    let short = lines(24, |n| {
        if n == 9 { "only text\n".to_owned() } else { format!("{},{}\n", row(n), ab(n)) }
    });
    cases.push(
        Case::new("a row with too few columns", "x.csv", format!("text,label\n{short}"))
            .rows(23)
            .bad(1),
    );
    let long =
        lines(24, |n| format!("{}{},{}\n", if n == 9 { "one, " } else { "" }, row(n), ab(n)));
    cases.push(
        Case::new("a row with too many columns", "x.csv", format!("text,label\n{long}"))
            .rows(23)
            .bad(1),
    );
    cases
}

fn by_columns() -> Vec<Case> {
    let mut cases = Vec::new();
    let trailing = lines(24, |n| format!("{},{},\n", row(n), ab(n)));
    cases.push(Case::new(
        "a separator at the end of each row",
        "x.csv",
        format!("text,label,\n{trailing}"),
    ));
    cases.push(Case::new(
        "a separator at the end of each row but the header",
        "x.csv",
        format!("text,label\n{trailing}"),
    ));
    cases.push(
        Case::new("the test part from the end", "x.csv", table(",", "\n"))
            .with(|options| options.test_split = Some(TestSplit::Tail))
            .splits(0, 3),
    );
    cases.push(
        Case::new("a limit of rows", "x.csv", table(",", "\n"))
            .with(|options| options.limit = Some(12))
            .rows(12),
    );
    let index = lines(24, |n| format!("{n},{},{}\n", row(n), ab(n)));
    cases.push(
        Case::new("an index of pandas without a name", "x.csv", format!(",text,label\n{index}"))
            .understood("texts in `text`, classes in `label`"),
    );
    cases.push(
        Case::new("row names of R", "x.csv", format!("text,label\n{index}"))
            .understood("texts in `text`, classes in `label`"),
    );
    let space = lines(24, |n| format!("{} {n}\n", ab(n)));
    cases.push(
        Case::new("a space by option", "x.dat", space)
            .with(|options| {
                options.separator = Some("space".to_owned());
                options.header = Some(false);
                options.text = Some(vec!["2".to_owned()]);
                options.label = Some("1".to_owned());
            })
            .has("17"),
    );
    cases
}
