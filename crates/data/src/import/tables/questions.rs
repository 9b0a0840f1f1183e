//! Questions that a plan leaves open, with the flags that decide them.

use protocol::dataset::import::OpenQuestion;

fn question(question: String, option: &str, flag: &str, choices: Vec<String>) -> OpenQuestion {
    OpenQuestion { question, option: option.to_owned(), flag: flag.to_owned(), choices }
}

pub(super) fn label(choices: Vec<String>) -> OpenQuestion {
    let text = "several columns could be the label".to_owned();
    question(text, "label", "--label", choices)
}

pub(super) fn too_many_classes(name: &str, most: usize, choices: Vec<String>) -> OpenQuestion {
    let text = format!("the label column {name} has more than {most} different values");
    question(text, "label", "--label", choices)
}

pub(super) fn text(choices: Vec<String>) -> OpenQuestion {
    question("several columns could be the text".to_owned(), "text", "--text", choices)
}

pub(super) fn numbers_only(choices: Vec<String>) -> OpenQuestion {
    let text = "it has numbers only. Constellation trains on texts, on images, and on tables with one column for \
                each pixel of a square image. If numbers are to be read as words, name their columns";
    question(text.to_owned(), "text", "--text", choices)
}

pub(super) fn header() -> OpenQuestion {
    let text = "nothing tells whether the first row holds the names of the columns".to_owned();
    let choices = ["--header", "--no-header"].map(str::to_owned).to_vec();
    question(text, "header", "--no-header", choices)
}

pub(super) fn sheet(choices: Vec<String>) -> OpenQuestion {
    question("the workbook has several sheets".to_owned(), "sheet", "--sheet", choices)
}

pub(super) fn files(names: &[String]) -> OpenQuestion {
    let text = format!("the names of {} don't tell their splits", names.join(", "));
    let splits = ["train", "validation", "test"];
    let choices =
        names.iter().flat_map(|name| splits.map(|split| format!("{split}={name}"))).collect();
    question(text, "splits", "--split", choices)
}

pub(super) fn values(column: &str, values: &[String]) -> OpenQuestion {
    let text = format!("{column} names the split, but not of {}", values.join(", "));
    let splits = ["train", "validation", "test"];
    let choices =
        values.iter().flat_map(|value| splits.map(|split| format!("{split}={value}"))).collect();
    question(text, "splits", "--split", choices)
}
