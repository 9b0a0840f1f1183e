//! Labels: missing values, similar classes, and the choice of the column.

use super::case::{Case, ab, lines};

pub(crate) fn cases() -> Vec<Case> {
    let with = |label: &dyn Fn(usize) -> String| {
        let rows = lines(24, |n| format!("words of row {n},{}\n", label(n)));
        format!("text,label\n{rows}")
    };
    let mut cases = Vec::new();
    for word in ["NaN", "nan", "NULL", "null", "None", "N/A", "n/a", "NA", "", "   "] {
        let text = with(&|n| if n % 6 == 3 { word.to_owned() } else { ab(n / 3).to_owned() });
        cases.push(Case::new("a word for a missing label", "x.csv", text).rows(20).bad(4));
    }
    let none = with(&|n| ["None", "toxic"][n % 2].to_owned());
    cases.push(
        Case::new("a class that is called None", "x.csv", none)
            .with(|options| options.missing = Some(Vec::new()))
            .classes(&["None", "toxic"]),
    );
    let unknown = with(&|n| if n % 6 == 3 { "unknown".to_owned() } else { ab(n / 3).to_owned() });
    cases.push(
        Case::new("another word for missing", "x.csv", unknown)
            .with(|options| options.missing = Some(vec!["Unknown".to_owned()]))
            .rows(20)
            .bad(4),
    );
    for (kind, labels, merged) in [
        ("1 and 1.0", ["0", "1", "0.0", "1.0"], ["0", "1"]),
        ("case", ["ham", "spam", "Ham", "SPAM"], ["ham", "spam"]),
        ("two spaces", ["no way", "a way", "no  way", "a  way"], ["a way", "no way"]),
        ("Unicode form", ["cafe\u{301}", "b", "caf\u{e9}", "b"], ["b", "caf\u{e9}"]),
        ("full width", ["a1", "b", "ａ1", "b"], ["a1", "b"]),
        ("no-break space", ["a b", "c", "a\u{a0}b", "c"], ["a b", "c"]),
        ("zero width joiner", ["ab", "c", "a\u{200d}b", "c"], ["ab", "c"]),
    ] {
        let text = with(&|n| labels[n % 4].to_owned());
        let mut all: Vec<&'static str> = labels.to_vec();
        all.sort_unstable();
        all.dedup();
        if kind == "1 and 1.0" {
            all = vec!["0", "0.0", "1", "1.0"];
        }
        cases.push(Case::new(kind, "x.csv", text.clone()).classes(&all).warns("--merge-classes"));
        cases.push(
            Case::new(kind, "x.csv", text)
                .with(|options| options.merge_classes = Some(true))
                .classes(&merged)
                .warns("are joined as"),
        );
    }
    for hidden in ["\u{200b}", "\u{feff}", "\u{2060}", "\u{200e}"] {
        let text = with(&|n| format!("{}{}", ab(n), if n % 4 > 1 { hidden } else { "" }));
        cases.push(
            Case::new("an invisible character in labels", "x.csv", text)
                .warns("differ only by invisible characters"),
        );
    }
    let spaces = with(&|n| format!(" {} ", ab(n)));
    cases.push(Case::new("spaces around labels", "x.csv", spaces));
    let numbers = with(&|n| (n % 12).to_string());
    let order = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    cases.push(Case::new("numbers sort by value", "x.csv", numbers).classes(&order));
    let negative = with(&|n| ["-1", "1"][n % 2].to_owned());
    cases.push(Case::new("labels -1 and 1", "x.csv", negative).classes(&["-1", "1"]));
    let truth = with(&|n| ["True", "False"][n % 2].to_owned());
    cases.push(Case::new("labels True and False", "x.csv", truth).classes(&["False", "True"]));
    let both =
        lines(24, |n| format!("{n},words of row {n},{},{}\n", n % 2, ["ham", "spam"][n % 2]));
    cases.push(
        Case::new(
            "a number and a name of the same label",
            "x.csv",
            format!("id,text,label,label_text\n{both}"),
        )
        .classes(&["0", "1"])
        .understood("texts in `text`, classes in `label`"),
    );
    let stars = lines(25, |n| format!("id{n},words of row {n},{},{}\n", n % 5 + 1, n * 3));
    cases.push(
        Case::new(
            "stars among other columns",
            "x.csv",
            format!("business_id,text,stars,useful\n{stars}"),
        )
        .rows(25)
        .classes(&["1", "2", "3", "4", "5"]),
    );
    let complaint = lines(24, |n| {
        format!(
            "words of row {n},{}\n",
            ["Credit reporting, or other reports", "Mortgage"][n % 2].replace(',', "")
        )
    });
    cases.push(
        Case::new(
            "classes of several words",
            "x.csv",
            format!("narrative,what it is about\n{complaint}"),
        )
        .classes(&["Credit reporting or other reports", "Mortgage"]),
    );
    cases
}
