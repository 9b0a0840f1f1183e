//! Headers: found by comparing the first row with the rest.

use super::case::{Case, ab, lines};

pub(crate) fn cases() -> Vec<Case> {
    let body = lines(24, |n| format!("words of row {n},{}\n", ab(n)));
    let mut cases = Vec::new();
    for header in [
        "Consumer complaint,Product",
        "Beschwerde,Produkt",
        "вопрос,класс",
        "文章,分類",
        "x1,x2",
        "v1 text,v2",
        "TEXT,LABEL",
        " text , label ",
        "Narrative,Outcome",
    ] {
        let kind = "a header of any names";
        cases.push(Case::new(kind, "x.csv", format!("{header}\n{body}")).has("words of row 0"));
    }
    cases.push(
        Case::new("no header", "x.csv", body.clone())
            .understood("texts in column 1, classes in column 2"),
    );
    let turned = lines(24, |n| format!("{}\twords of row {n}\n", ab(n)));
    cases.push(
        Case::new("no header, label first", "x.tsv", turned)
            .understood("texts in column 2, classes in column 1"),
    );
    let numbers = lines(24, |n| {
        format!("{},title of {n} is short,the description of row {n} is longer\n", n % 4 + 1)
    });
    cases.push(
        Case::new("no header, as AG News", "x.csv", numbers)
            .classes(&["1", "2", "3", "4"])
            .understood("texts in column 2 and column 3, classes in column 1"),
    );
    let polarity = lines(24, |n| {
        format!(
            "\"{}\",\"{}\",\"NO_QUERY\",\"user{n}\",\"words of tweet {n} are here\"\n",
            n % 2 * 4,
            1_467_810_000 + n
        )
    });
    cases.push(
        Case::new("no header, as Sentiment140", "x.csv", polarity)
            .classes(&["0", "4"])
            .understood("texts in column 5, classes in column 1"),
    );
    let digits = lines(24, |n| format!("words of row {n},{}\n", n % 2));
    cases.push(
        Case::new("a header above numbers", "x.csv", format!("story,kind\n{digits}"))
            .classes(&["0", "1"]),
    );
    cases.push(Case::new("no header, numbers as labels", "x.csv", digits).classes(&["0", "1"]));
    let index = lines(24, |n| format!("{n},words of row {n},{}\n", ab(n)));
    cases.push(
        Case::new("numbers of pandas as header", "x.csv", format!("0,1,2\n{index}"))
            .understood("texts in `1`, classes in `2`"),
    );
    let pixels = lines(24, |n| format!("words of row {n},{},{}\n", n * 7, ab(n)));
    cases.push(
        Case::new("unused columns", "x.csv", format!("text,price,label\n{pixels}"))
            .understood("texts in `text`, classes in `label`"),
    );
    cases.push(
        Case::new("no header by option", "x.csv", body.clone())
            .with(|options| options.header = Some(false)),
    );
    cases.push(
        Case::new("a header by option", "x.csv", format!("words,a\n{body}"))
            .with(|options| options.header = Some(true))
            .understood("texts in `words`, classes in `a`"),
    );
    cases.push(
        Case::new(
            "a title above the header",
            "x.csv",
            format!("Report of May\ntext,label\n{body}"),
        )
        .warns("before the header"),
    );
    let twice = lines(24, |n| format!("words of row {n},x,{}\n", ab(n)));
    cases.push(
        Case::new("a name twice", "x.csv", format!("text,text,label\n{twice}"))
            .understood("texts in `text`, classes in `label`"),
    );
    let long = lines(24, |n| format!("{},this is a rather long text of row number {n}\n", ab(n)));
    cases.push(Case::new("a header of unknown short names", "x.csv", format!("k,t\n{long}")));
    let named = lines(24, |n| format!("words of row {n},user {},{}\n", n / 4, ab(n)));
    cases.push(
        Case::new("a key by option", "x.csv", format!("text,user,label\n{named}"))
            .with(|options| options.key = Some("user".to_owned())),
    );
    cases.push(
        Case::new("roles by option", "x.csv", format!("q,u,c\n{named}"))
            .with(|options| {
                options.text = Some(vec!["u".to_owned(), "q".to_owned()]);
                options.label = Some("c".to_owned());
            })
            .has("user 1 words of row 5"),
    );
    cases
}
