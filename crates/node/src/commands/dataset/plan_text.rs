//! Text of an import plan for people.

use std::io;

use protocol::dataset::SampleShape;
use protocol::dataset::import::{
    ColumnRole, Confidence, DatasetTask, ImportPlan, LeftOut, OpenQuestion, Place, PlannedClass,
    PlannedImages, Quote, SplitName,
};

use crate::output::{line, note, table, warning};

/// Length of the longest bar of a class in characters.
const LONGEST_BAR: u64 = 24;
/// Maximum number of classes that are listed.
const MOST_CLASSES: usize = 30;
/// Maximum number of columns that the short form lists.
const MOST_COLUMNS: usize = 12;

/// Prints the whole plan.
pub(super) fn print(plan: &ImportPlan) -> io::Result<()> {
    line(summary(plan))?;
    if !plan.columns.is_empty() {
        line("")?;
        let rows: Vec<[String; 5]> = plan
            .columns
            .iter()
            .map(|column| {
                let examples = column.examples.join(" | ");
                let role = role_word(column.role).to_owned();
                [column.name.clone(), column.kind.clone(), role, column.reason.clone(), examples]
            })
            .collect();
        table(["COLUMN", "TYPE", "ROLE", "REASON", "VALUES"], &rows)?;
    }
    if let Some(images) = &plan.images {
        line("")?;
        line(images_text(images))?;
    }
    if !plan.classes.is_empty() {
        line("")?;
        print_classes(&plan.classes)?;
    }
    if !plan.splits.is_empty() {
        line("")?;
        let rows: Vec<[String; 3]> = plan
            .splits
            .iter()
            .map(|split| {
                let name = split_word(split.split).to_owned();
                [name, split.rows.to_string(), split.source.clone()]
            })
            .collect();
        table(["SPLIT", "ROWS", "SOURCE"], &rows)?;
    }
    if !plan.left_out.is_empty() {
        line("")?;
        let rows: Vec<[String; 4]> = plan
            .left_out
            .iter()
            .map(|left| {
                [left.count.to_string(), left.reason.clone(), left.change.clone(), places(left)]
            })
            .collect();
        table(["LEFT OUT", "REASON", "CHANGE", "FIRST"], &rows)?;
    }
    if !plan.warnings.is_empty() {
        line("")?;
        plan.warnings.iter().try_for_each(|text| line(format_args!("warning: {text}")))?;
    }
    if !plan.questions.is_empty() {
        line("")?;
        plan.questions.iter().try_for_each(|question| line(question_text(question)))?;
    }
    Ok(())
}

/// Prints what an import did in a few lines: how the files were read to standard output, the rest to standard
/// error.
pub(super) fn print_short(plan: &ImportPlan) -> io::Result<()> {
    line(summary(plan))?;
    let named: Vec<String> = plan
        .columns
        .iter()
        .filter(|column| match column.role {
            ColumnRole::Text
            | ColumnRole::Label
            | ColumnRole::Key
            | ColumnRole::Image
            | ColumnRole::Split => true,
            ColumnRole::Pixel | ColumnRole::Unused => false,
        })
        .take(MOST_COLUMNS)
        .map(|column| format!("{} = {} ({})", role_word(column.role), column.name, column.reason))
        .collect();
    if !named.is_empty() {
        line(format_args!("columns: {}", named.join(", ")))?;
    }
    if let Some(images) = &plan.images {
        line(images_text(images))?;
    }
    let splits: Vec<String> = plan
        .splits
        .iter()
        .map(|split| format!("{} {} ({})", split_word(split.split), split.rows, split.source))
        .collect();
    if !splits.is_empty() {
        line(format_args!("splits: {}", splits.join(", ")))?;
    }
    for left in &plan.left_out {
        let LeftOut { reason, change, count, .. } = left;
        note(format_args!("left out: {count} × {reason}: {change} ({})", places(left)));
    }
    plan.warnings.iter().for_each(warning);
    Ok(())
}

/// Returns the format and how it is read in one line.
fn summary(plan: &ImportPlan) -> String {
    let mut parts = vec![plan.format.clone()];
    parts.extend(plan.encoding.clone());
    parts.extend(plan.separator.as_deref().map(|text| format!("separator {}", separator(text))));
    parts.extend(plan.quote.map(|quote| {
        let quote = match quote {
            Quote::Double => "double quotes",
            Quote::Single => "single quotes",
            Quote::None => "no quotes",
        };
        quote.to_owned()
    }));
    parts.extend(
        plan.header
            .map(|header| if header { "with a header" } else { "without a header" }.to_owned()),
    );
    let task = match (plan.task, plan.sample) {
        (DatasetTask::Language, _) => "texts to predict",
        (DatasetTask::Classification, Some(SampleShape::Text)) => "texts with classes",
        (DatasetTask::Classification, Some(SampleShape::Image { .. })) => "images with classes",
        (DatasetTask::Classification, None) => "rows with classes",
    };
    let confidence = match plan.confidence {
        Confidence::Open => "a decision is open",
        Confidence::Likely => "detected from the values",
        Confidence::Certain => "certain",
    };
    format!("{}: {task} ({confidence})", parts.join(", "))
}

fn separator(text: &str) -> &str {
    match text {
        "," => "comma",
        ";" => "semicolon",
        "\t" => "tab",
        "|" => "pipe",
        " " => "space",
        other => other,
    }
}

fn images_text(images: &PlannedImages) -> String {
    let PlannedImages { size, channels, found, scaling } = images;
    let found: Vec<String> = found
        .iter()
        .map(|found| format!("{}×{}: {}", found.size.width, found.size.height, found.images))
        .collect();
    let (width, height) = (size.width, size.height);
    format!("images: {width}×{height}×{channels}; {scaling} (found {})", found.join(", "))
}

fn print_classes(classes: &[PlannedClass]) -> io::Result<()> {
    let most = classes.iter().map(total).max().unwrap_or(0).max(1);
    let rows: Vec<[String; 5]> = classes
        .iter()
        .take(MOST_CLASSES)
        .map(|class| {
            let bar = (total(class) * LONGEST_BAR).div_ceil(most);
            let bar = "█".repeat(usize::try_from(bar).unwrap_or(0));
            let count = |rows: u64| rows.to_string();
            [
                class.name.clone(),
                count(class.train_rows),
                count(class.validation_rows),
                count(class.test_rows),
                bar,
            ]
        })
        .collect();
    table(["CLASS", "TRAIN", "VALIDATION", "TEST", ""], &rows)?;
    if classes.len() > MOST_CLASSES {
        line(format_args!("and {} more classes", classes.len() - MOST_CLASSES))?;
    }
    Ok(())
}

const fn total(class: &PlannedClass) -> u64 {
    class.train_rows + class.validation_rows + class.test_rows
}

fn places(left: &LeftOut) -> String {
    let place = |place: &Place| match place.line {
        Some(line) => format!("{}:{line}", place.file),
        None => place.file.clone(),
    };
    left.first.iter().map(place).collect::<Vec<_>>().join(", ")
}

fn question_text(question: &OpenQuestion) -> String {
    let OpenQuestion { question, flag, choices, option: _ } = question;
    match choices.as_slice() {
        [] => format!("open: {question} Decide with {flag}"),
        choices => format!("open: {question} Decide with {flag}: {}", choices.join(", ")),
    }
}

const fn role_word(role: ColumnRole) -> &'static str {
    match role {
        ColumnRole::Text => "text",
        ColumnRole::Label => "label",
        ColumnRole::Key => "key",
        ColumnRole::Image => "image",
        ColumnRole::Pixel => "pixel",
        ColumnRole::Split => "split",
        ColumnRole::Unused => "unused",
    }
}

const fn split_word(split: SplitName) -> &'static str {
    match split {
        SplitName::Train => "train",
        SplitName::Validation => "validation",
        SplitName::Test => "test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_how_a_file_is_read() {
        let plan = ImportPlan {
            format: "CSV".to_owned(),
            sample: Some(SampleShape::Text),
            encoding: Some("windows-1252".to_owned()),
            separator: Some("\t".to_owned()),
            quote: Some(Quote::None),
            header: Some(false),
            confidence: Confidence::Likely,
            ..ImportPlan::default()
        };
        assert_eq!(
            summary(&plan),
            "CSV, windows-1252, separator tab, no quotes, without a header: texts with classes (detected \
             from the values)"
        );
    }

    #[test]
    fn places_and_questions_name_what_to_change() {
        let place = |file: &str, line| Place { file: file.to_owned(), line };
        let left = LeftOut {
            reason: "no label".to_owned(),
            change: "add one".to_owned(),
            count: 9,
            first: vec![place("a.csv", Some(4)), place("b.heic", None)],
        };
        assert_eq!(places(&left), "a.csv:4, b.heic");
        let question = OpenQuestion {
            question: "Which column is the label?".to_owned(),
            option: "label".to_owned(),
            flag: "--label".to_owned(),
            choices: vec!["stars".to_owned(), "kind".to_owned()],
        };
        assert_eq!(
            question_text(&question),
            "open: Which column is the label? Decide with --label: stars, kind"
        );
    }
}
