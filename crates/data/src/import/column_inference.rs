//! Inference of the label and text columns, from their names or else from their values.

use std::collections::HashMap;

use super::records::{Record, Table};

const LABELS: [&str; 20] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "stars",
    "class_index",
    "class_name",
    "class_label",
    "rating",
    "topic",
    "intent",
    "polarity",
    "score",
    "label_text",
    "overall",
    "emotion",
    "species",
    "y",
];
const TITLES: [&str; 5] = ["title", "subject", "headline", "summary", "name"];
const TEXTS: [&str; 16] = [
    "text",
    "content",
    "review",
    "sentence",
    "description",
    "body",
    "message",
    "comment",
    "document",
    "article",
    "utterance",
    "question",
    "tweet",
    "review_text",
    "reviewtext",
    "review_body",
];
/// Most classes of a label column. A column with more values is probably an identifier.
const MOST_CLASSES: usize = 1000;

/// Roles of a table's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnRoles {
    pub label: usize,
    pub content: Content,
}

/// Columns with the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Text columns, joined by a space.
    Texts(Vec<usize>),
    /// Gray values of a square image, row by row.
    Pixels { columns: Vec<usize>, side: u32 },
}

impl ColumnRoles {
    pub(super) fn infer(table: &Table) -> Result<Self, String> {
        let width = match (&table.header, table.records.first()) {
            (Some(header), _) => header.len(),
            (None, Some(record)) => record.cells.len(),
            (None, None) => 0,
        };
        if width < 2 {
            return Err("has only one column; it needs a text column and a label column".to_owned());
        }
        let columns: Vec<Column<'_>> =
            (0..width).map(|at| Column::from_records(&table.records, at)).collect();
        let named = table.header.as_deref().and_then(label_by_name);
        if let Some(roles) = pixels(&columns, named) {
            return Ok(roles);
        }
        let label = named.or_else(|| likely_label(&columns)).ok_or_else(|| {
            format!("no column looks like the label; name the label column `{}`", LABELS[0])
        })?;
        if columns[label].values.is_none() {
            return Err(format!(
                "the label column has more than {MOST_CLASSES} different values; use a column with \
                 fewer"
            ));
        }
        let texts = match &table.header {
            Some(header) => named_texts(header, label),
            None => (0..width).filter(|at| *at != label && !columns[*at].numeric).collect(),
        };
        let longest = (0..width).filter(|at| *at != label).max_by_key(|at| columns[*at].bytes);
        let texts = if texts.is_empty() { longest.into_iter().collect() } else { texts };
        Ok(Self { label, content: Content::Texts(texts) })
    }

    /// Describes the roles for people.
    pub(super) fn description(&self, table: &Table) -> String {
        let name = |at: &usize| match &table.header {
            Some(header) => format!("`{}`", header.get(*at).map_or("", |name| name.trim())),
            None => format!("column {}", at + 1),
        };
        let label = name(&self.label);
        match &self.content {
            Content::Texts(columns) => {
                let texts: Vec<String> = columns.iter().map(name).collect();
                format!("texts in {}, classes in {label}", texts.join(" and "))
            }
            Content::Pixels { side, .. } => {
                format!("gray images of {side}×{side} pixels from numbers, classes in {label}")
            }
        }
    }
}

/// Returns the label column if one has a typical name.
pub(super) fn label_by_name(header: &[String]) -> Option<usize> {
    by_name(header, &LABELS)
}

/// Returns whether the first record is a header: it has a known name, or only texts above a column
/// of numbers.
pub(super) fn has_header(records: &[Record]) -> bool {
    let Some((first, rest)) = records.split_first() else { return false };
    let known = |cell: &String| {
        let name = normal(cell);
        LABELS.contains(&name.as_str())
            || TEXTS.contains(&name.as_str())
            || TITLES.contains(&name.as_str())
    };
    if first.cells.len() > 1 && first.cells.iter().any(known) {
        return true;
    }
    let is_number = |cell: &String| cell.trim().parse::<f64>().is_ok();
    let only_text = first.cells.iter().all(|cell| !cell.trim().is_empty() && !is_number(cell));
    only_text
        && !rest.is_empty()
        && (0..first.cells.len())
            .any(|at| rest.iter().take(100).all(|row| row.cells.get(at).is_some_and(is_number)))
}

/// Statistics of a column.
struct Column<'a> {
    /// Number of rows of each value, or `None` beyond [`MOST_CLASSES`].
    values: Option<HashMap<&'a str, usize>>,
    /// Whether every value is a number.
    numeric: bool,
    /// Whether every value is a whole number from 0.
    whole: bool,
    bytes: usize,
}

impl<'a> Column<'a> {
    fn from_records(records: &'a [Record], at: usize) -> Self {
        let mut column =
            Self { values: Some(HashMap::new()), numeric: true, whole: true, bytes: 0 };
        for record in records {
            let cell = record.cells.get(at).map_or("", |cell| cell.trim());
            column.bytes += cell.len();
            column.numeric = column.numeric && cell.parse::<f64>().is_ok();
            column.whole = column.whole && cell.parse::<u32>().is_ok();
            if let Some(values) = &mut column.values {
                *values.entry(cell).or_default() += 1;
                if values.len() > MOST_CLASSES {
                    column.values = None;
                }
            }
        }
        column
    }

    /// Returns the number of classes if the values can be classes.
    fn classes(&self, rows: usize) -> Option<usize> {
        let count = self.values.as_ref()?.len();
        (count >= 2 && count * 2 <= rows).then_some(count)
    }

    /// Returns how even the classes are: 1 if all are equally frequent.
    fn evenness(&self) -> f64 {
        let Some(values) = &self.values else { return 0.0 };
        let (least, rows) = (values.values().min().copied().unwrap_or(0), values.values().sum());
        let rows: usize = rows;
        if values.len() < 2 || rows == 0 {
            return 0.0;
        }
        (least * values.len()) as f64 / rows as f64
    }

    fn rows(&self) -> usize {
        self.values.as_ref().map_or(usize::MAX, |values| values.values().sum())
    }
}

/// Returns the first column with the fewest repeating values.
fn likely_label(columns: &[Column<'_>]) -> Option<usize> {
    let candidates = columns.iter().enumerate();
    let counted = candidates.filter_map(|(at, column)| Some((column.classes(column.rows())?, at)));
    counted.min().map(|(_, at)| at)
}

/// Recognizes pixels: all columns but one are whole numbers, and their number is a square. Without
/// a name the label is the first or last column, whichever has the more even values, because pixels
/// at the border are mostly dark.
fn pixels(columns: &[Column<'_>], named: Option<usize>) -> Option<ColumnRoles> {
    let count = columns.len() - 1;
    let side = count.isqrt();
    if side < 2 || side * side != count {
        return None;
    }
    let evener = if columns[count].evenness() >= columns[0].evenness() { count } else { 0 };
    let label = named.unwrap_or(evener);
    let pixels: Vec<usize> = (0..columns.len()).filter(|at| *at != label).collect();
    if columns[label].evenness() == 0.0 || !pixels.iter().all(|at| columns[*at].whole) {
        return None;
    }
    let side = u32::try_from(side).ok()?;
    Some(ColumnRoles { label, content: Content::Pixels { columns: pixels, side } })
}

/// Returns the title and text columns by their names.
fn named_texts(header: &[String], label: usize) -> Vec<usize> {
    let text = by_name(header, &TEXTS).filter(|at| *at != label);
    let title = by_name(header, &TITLES).filter(|at| *at != label);
    title.into_iter().chain(text).collect()
}

/// Returns the first of `known` that is a column's name.
fn by_name(header: &[String], known: &[&str]) -> Option<usize> {
    let names: Vec<String> = header.iter().map(|name| normal(name)).collect();
    known.iter().find_map(|known| names.iter().position(|name| name == known))
}

fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}
