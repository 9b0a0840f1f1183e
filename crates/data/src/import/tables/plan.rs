//! Plan of tables: what was decided, in words and as options.

use protocol::dataset::SampleShape;
use protocol::dataset::import::{
    ColumnRole, Confidence, FoundImageSize, ImageSize, ImportOptions, ImportPlan, OpenQuestion,
    PlannedColumn, PlannedImages, Quote,
};

use super::dialect::separator_name;
use super::names::MissingValues;
use super::plain_text::Layout;
use super::roles::{Content, Roles};
use super::source::{Reader, Table};

/// Returns the plan of the first table with its roles. The questions are those that the tables leave open.
pub(super) fn plan(
    table: &Table,
    roles: &Roles,
    options: &ImportOptions,
    missing: &MissingValues,
    questions: Vec<OpenQuestion>,
    warnings: Vec<String>,
) -> ImportPlan {
    let mut plan = ImportPlan {
        format: format(&table.reader),
        task: roles.task(),
        columns: columns(table, roles),
        images: images(table, roles),
        warnings,
        options: options.clone(),
        ..ImportPlan::default()
    };
    dialect(table, &mut plan);
    let name = |at: usize| table.names[at].clone();
    plan.options.task = Some(roles.task());
    plan.options.label = roles.label.map(name).filter(|_| asks(&questions, "label"));
    plan.options.key = roles.key.map(name);
    plan.options.text = match &roles.content {
        Content::Texts(columns) if asks(&questions, "text") => {
            Some(columns.iter().map(|at| name(*at)).collect())
        }
        Content::Texts(_) | Content::Pixels(_) => options.text.clone(),
    };
    plan.options.missing = Some(missing.to_list());
    plan.options.merge_classes = Some(options.merge_classes.unwrap_or(false));
    plan.confidence = if !questions.is_empty() {
        Confidence::Open
    } else if roles.inferred || !plan.warnings.is_empty() {
        Confidence::Likely
    } else {
        Confidence::Certain
    };
    plan.questions = questions;
    plan
}

/// Returns whether no question is about the option.
fn asks(questions: &[OpenQuestion], option: &str) -> bool {
    questions.iter().all(|question| question.option != option)
}

fn format(reader: &Reader) -> String {
    let format = match reader {
        Reader::Delimited(reader) => match reader.separator {
            b'\t' => "TSV",
            b',' => "CSV",
            b';' => "CSV with semicolons",
            _ => "delimited text",
        },
        Reader::Json(reader) if reader.document.is_some() => "JSON",
        Reader::Json(reader) if reader.lines => "JSON lines",
        Reader::Json(_) => "JSON",
        Reader::Workbook(_) => "Excel workbook",
        Reader::Parquet(_) => "Parquet",
        Reader::Text(reader) => match reader.layout {
            Layout::Lines => "plain text, one row per line",
            Layout::Paragraphs => "plain text, one row per paragraph",
            Layout::LabelPrefix => "text with `__label__` prefixes",
        },
    };
    format.to_owned()
}

/// Fills in what only some formats have.
fn dialect(table: &Table, plan: &mut ImportPlan) {
    let encoding = match &table.reader {
        Reader::Delimited(reader) => {
            let quote = match reader.quote {
                None => Quote::None,
                Some(b'\'') => Quote::Single,
                Some(_) => Quote::Double,
            };
            plan.separator = Some(char::from(reader.separator).to_string());
            plan.options.separator = Some(separator_name(reader.separator));
            (plan.quote, plan.options.quote) = (Some(quote), Some(quote));
            (plan.header, plan.options.header) = (Some(table.named), Some(table.named));
            Some(reader.encoding)
        }
        Reader::Json(reader) => Some(reader.encoding),
        Reader::Text(reader) => Some(reader.encoding),
        Reader::Workbook(reader) => {
            plan.options.sheet = Some(reader.sheet.clone());
            (plan.header, plan.options.header) = (Some(table.named), Some(table.named));
            None
        }
        Reader::Parquet(_) => None,
    };
    plan.encoding = encoding.map(|encoding| encoding.name().to_lowercase());
    plan.options.encoding.clone_from(&plan.encoding);
}

fn columns(table: &Table, roles: &Roles) -> Vec<PlannedColumn> {
    let role = |at: usize| -> (ColumnRole, &str) {
        if roles.label == Some(at) {
            return (ColumnRole::Label, roles.label_reason);
        }
        if roles.key == Some(at) {
            return (ColumnRole::Key, "an option states it");
        }
        if roles.split == Some(at) {
            return (ColumnRole::Split, "its name and its values state it");
        }
        match &roles.content {
            Content::Texts(columns) if columns.contains(&at) => {
                (ColumnRole::Text, roles.text_reason)
            }
            Content::Pixels(pixels) if pixels.columns.contains(&at) => (
                ColumnRole::Pixel,
                "all columns but the label are numbers, and their number is a square",
            ),
            Content::Texts(_) | Content::Pixels(_) => {
                (ColumnRole::Unused, "another column has each role")
            }
        }
    };
    let names = table.names.iter().enumerate();
    names
        .map(|(at, name)| {
            let (profile, (role, reason)) = (&table.profiles[at], role(at));
            PlannedColumn {
                name: name.clone(),
                kind: profile.kind(),
                distinct: profile.values.as_ref().map(|values| values.len() as u64),
                missing: profile.missing,
                examples: profile.examples.clone(),
                role,
                reason: reason.to_owned(),
            }
        })
        .collect()
}

fn images(table: &Table, roles: &Roles) -> Option<PlannedImages> {
    let Content::Pixels(pixels) = &roles.content else { return None };
    let size = ImageSize { height: pixels.side, width: pixels.side };
    Some(PlannedImages {
        size,
        channels: 1,
        found: vec![FoundImageSize { size, images: table.records }],
        scaling: pixels.scaling(),
    })
}

/// Returns the shape of a row.
pub(super) fn shape(roles: &Roles) -> SampleShape {
    match &roles.content {
        Content::Texts(_) => SampleShape::Text,
        Content::Pixels(pixels) => {
            SampleShape::Image { channels: 1, height: pixels.side, width: pixels.side }
        }
    }
}

/// Describes the roles in one line.
pub(super) fn understood(table: &Table, roles: &Roles) -> String {
    let content = match &roles.content {
        Content::Texts(columns) => {
            let texts: Vec<String> = columns.iter().map(|at| table.shown(*at)).collect();
            format!("texts in {}", texts.join(" and "))
        }
        Content::Pixels(pixels) => {
            format!("gray images of {0}×{0} pixels from numbers", pixels.side)
        }
    };
    match roles.label {
        Some(label) => format!("{content}, classes in {}", table.shown(label)),
        None => format!("{content}, no classes"),
    }
}
