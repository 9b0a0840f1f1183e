//! JSON: one object a line, arrays, and objects of columns.

use super::case::{Case, ab, lines};

pub(crate) fn cases() -> Vec<Case> {
    rows().into_iter().chain(lists()).collect()
}

fn object(n: usize) -> String {
    format!("{{\"text\": \"words of row {n}\", \"label\": \"{}\"}}", ab(n))
}

/// Objects that are rows.
fn rows() -> Vec<Case> {
    let joined = |separator: &str| (0..24).map(object).collect::<Vec<_>>().join(separator);
    let mut cases = vec![
        Case::new("one object a line", "x.jsonl", joined("\n")),
        Case::new("CRLF", "x.jsonl", joined("\r\n")),
        Case::new("byte order mark", "x.jsonl", format!("\u{feff}{}", joined("\n"))),
        Case::new("empty lines between", "x.jsonl", joined("\n\n")),
        Case::new("an array on one line", "x.json", format!("[{}]", joined(", "))),
        Case::new("an array, one object a line", "x.json", format!("[\n{}\n]\n", joined(",\n"))),
        Case::new(
            "an array that starts on the first line",
            "x.json",
            format!("[{}]", joined(",\n")),
        ),
        Case::new("one object a line with commas", "x.json", joined(",\n")),
        Case::new("objects one after the other", "x.json", joined(" ")),
        Case::new("another file ending", "x.txt", joined("\n")),
        Case::new(
            "an array with a byte order mark",
            "x.json",
            format!("\u{feff}[{}]", joined(",")),
        ),
        Case::new(
            "an object with one list",
            "x.json",
            format!("{{\"version\": 1, \"data\": [{}]}}", joined(",")),
        ),
    ];
    let pretty = lines(24, |n| {
        let comma = if n < 23 { "," } else { "" };
        format!(
            "  {{\n    \"text\": \"a brace }} in row {n}\",\n    \"label\": \"{}\"\n  }}{comma}\n",
            ab(n)
        )
    });
    cases.push(
        Case::new("pretty-printed", "x.json", format!("[\n{pretty}]\n")).has("a brace } in row 3"),
    );
    let nested = lines(24, |n| {
        format!(
            "{{\"data\":{{\"text\":\"words of row {n}\",\"id\":{n}}},\"meta\":{{\"label\":\"{}\"}}}}\n",
            ab(n)
        )
    });
    cases.push(
        Case::new("nested objects", "x.jsonl", nested)
            .with(|options| {
                options.text = Some(vec!["data.text".to_owned()]);
                options.label = Some("meta.label".to_owned());
            })
            .understood("texts in `data.text`, classes in `meta.label`"),
    );
    let null = lines(24, |n| {
        format!(
            "{{\"text\":\"words of row {n}\",\"label\":{}}}\n",
            if n % 6 == 3 { "null".to_owned() } else { format!("\"{}\"", ab(n / 3)) }
        )
    });
    cases.push(Case::new("null labels", "x.jsonl", null).rows(20).bad(4));
    let absent = lines(24, |n| {
        if n % 6 == 3 {
            format!("{{\"text\":\"row {n}\"}}\n")
        } else {
            format!("{{\"text\":\"row {n}\",\"label\":\"{}\"}}\n", ab(n / 3))
        }
    });
    cases.push(Case::new("absent labels", "x.jsonl", absent).rows(20).bad(4));
    let bools =
        lines(24, |n| format!("{{\"text\":\"words of row {n}\",\"label\":{}}}\n", n % 2 == 0));
    cases.push(Case::new("true and false", "x.jsonl", bools).classes(&["false", "true"]));
    let numbers = lines(24, |n| format!("{{\"text\":\"words of row {n}\",\"label\":{}}}\n", n % 2));
    cases.push(Case::new("numbers", "x.jsonl", numbers).classes(&["0", "1"]));
    let cut = lines(24, |n| {
        if n == 9 { "{\"text\": \"cut\n".to_owned() } else { format!("{}\n", object(n)) }
    });
    cases.push(Case::new("a line that was cut", "x.jsonl", cut).rows(23).bad(1));
    let escaped = lines(24, |n| {
        format!("{{\"text\":\"a \\\"quote\\\" \\u00e9\\n{n}\",\"label\":\"{}\"}}\n", ab(n))
    });
    cases.push(Case::new("escapes", "x.jsonl", escaped).has("a \"quote\" é\n4"));
    let tokens =
        lines(24, |n| format!("{{\"text\":[\"words\",\"of\",\"{n}\"],\"label\":\"{}\"}}\n", ab(n)));
    cases.push(Case::new("a list of words", "x.jsonl", tokens).has("words of 6"));
    let extra = lines(24, |n| {
        format!(
            "{{\"id\":{n},\"text\":\"words of row {n}\",\"label\":\"{}\",\"spans\":[{{\"a\":[1]}}]}}\n",
            ab(n)
        )
    });
    cases.push(Case::new("lists of objects that nobody needs", "x.jsonl", extra));
    cases
}

/// Objects of columns, of rows or of splits.
fn lists() -> Vec<Case> {
    let mut cases = Vec::new();
    let column = |value: &dyn Fn(usize) -> String| {
        let pairs: Vec<String> = (0..24).map(|n| format!("\"{n}\":\"{}\"", value(n))).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let (texts, labels) = (column(&|n| format!("words of row {n}")), column(&|n| ab(n).to_owned()));
    cases.push(Case::new(
        "columns of pandas",
        "x.json",
        format!("{{\"text\":{texts},\"label\":{labels}}}"),
    ));
    let list = |value: &dyn Fn(usize) -> String| {
        let values: Vec<String> = (0..24).map(|n| format!("\"{}\"", value(n))).collect();
        format!("[{}]", values.join(","))
    };
    let (texts, labels) = (list(&|n| format!("words of row {n}")), list(&|n| ab(n).to_owned()));
    cases.push(Case::new(
        "lists as columns",
        "x.json",
        format!("{{\"text\":{texts},\"label\":{labels}}}"),
    ));
    let rows: Vec<String> =
        (0..24).map(|n| format!("[\"words of row {n}\",\"{}\"]", ab(n))).collect();
    let rows = rows.join(",");
    cases.push(Case::new(
        "split form of pandas",
        "x.json",
        format!("{{\"columns\":[\"text\",\"label\"],\"index\":[0],\"data\":[{rows}]}}"),
    ));
    let (train, test) = ((0..20).map(object), (20..24).map(object));
    let (train, test) = (train.collect::<Vec<_>>().join(","), test.collect::<Vec<_>>().join(","));
    cases.push(
        Case::new(
            "splits as lists",
            "x.json",
            format!("{{\"train\":[{train}],\"test\":[{test}]}}"),
        )
        .splits(0, 4),
    );
    cases
}
