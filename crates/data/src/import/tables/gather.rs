//! Import of tables: opens the files, decides the roles of their columns, and reads the rows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use protocol::dataset::import::{ImportOptions, ImportPlan, OpenQuestion, SplitName};

use super::classes::similar;
use super::names::MissingValues;
use super::open::{Settings, open};
use super::roles::{Content, Roles, decide};
use super::rows::{self, Found, RowContext};
use super::source::{Reader, Table};
use super::{plan, questions};
use crate::columns::Columns;
use crate::import::import_file::TableFile;
use crate::import::limits::Reading;
use crate::import::rows::{Bad, Gathered, LabeledRow, SplitRows};
use crate::{DataError, LoadProgress};

/// Reads tables with the same columns.
pub(crate) fn gather(
    files: &[TableFile],
    options: &ImportOptions,
    reading: &mut Reading<'_>,
) -> Result<Gathered, DataError> {
    let settings = Settings { options, missing: MissingValues::new(options.missing.as_deref()) };
    let mut open_questions = Vec::new();
    let mut tables = open_all(files, &settings, reading, &mut open_questions)?;
    let at = tables.iter().position(|table| table.file.split == Some(SplitName::Train));
    let mut first = tables.remove(at.unwrap_or(0));
    add_shards(&mut first, &tables);
    let name = first.file.name.clone();
    let roles = decide(&first, options, &mut open_questions)
        .map_err(|reason| DataError::File { file: name, reason })?;
    tables.insert(0, first);
    ask_for_splits(&tables, &mut open_questions);
    let mut warnings: Vec<String> =
        tables.iter_mut().flat_map(|table| std::mem::take(&mut table.warnings)).collect();
    let mut bad = Bad::default();
    for table in &mut tables {
        bad.extend(std::mem::take(&mut table.bad));
    }
    if !open_questions.is_empty() {
        return Ok(undecided(&tables[0], &roles, &settings, open_questions, warnings, bad));
    }
    let classes = stated_classes(&tables[0], &roles)?;
    let shared = RowContext {
        roles: &roles,
        options,
        missing: &settings.missing,
        classes: classes.as_deref(),
    };
    let mut found = Found::default();
    let mut sources: BTreeMap<SplitName, Vec<String>> = BTreeMap::new();
    for table in &tables {
        let file = &table.file.name;
        let places = match places(&tables[0], table, &roles) {
            Ok(places) => places,
            // A test file without labels is no test split. Competitions publish such files.
            Err(Unmatched { column, .. })
                if Some(column) == roles.label && !table.file.is_stated =>
            {
                let shown = tables[0].shown(column);
                bad.leave_out(
                    file,
                    None,
                    &format!("it has no label column {shown}"),
                    "add the labels",
                );
                warnings.push(format!("{file} has no label column {shown} and is left out"));
                continue;
            }
            Err(Unmatched { reason, .. }) => {
                return Err(DataError::File { file: file.clone(), reason });
            }
        };
        let split = table.file.split.unwrap_or(SplitName::Train);
        sources.entry(split).or_default().push(file.clone());
        let Reading { memory, progress, .. } = reading;
        rows::read(table, &places, &shared, &mut found, &mut bad, memory, *progress)
            .map_err(|reason| DataError::File { file: file.clone(), reason })?;
    }
    bad.first.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    note_labels(&found, &mut warnings);
    check_unlabeled(&found, &bad, options, &tables[0])?;
    let mut splits = found.splits;
    let Some(limited) = limit(&mut splits, options) else {
        return Err(bad.too_many(Path::new(&tables[0].file.name), 0));
    };
    if limited > 0 {
        let change = "raise or remove --limit";
        for _ in 0..limited {
            bad.leave_out(&tables[0].file.name, None, "beyond the limit of rows", change);
        }
    }
    if classes.is_none() && roles.label.is_some() {
        merge_classes(&mut splits, options, &mut warnings);
    }
    let split_column = roles.split.map(|at| tables[0].shown(at));
    let splits = splits
        .into_iter()
        .map(|(split, rows)| {
            let files = sources.get(&split).map(|names| names.join(", "));
            let source = split_column.clone().or(files).unwrap_or_default();
            (split, SplitRows { rows, source })
        })
        .collect();
    let plan = plan::plan(&tables[0], &roles, options, &settings.missing, Vec::new(), warnings);
    let (shape, understood) = (plan::shape(&roles), plan::understood(&tables[0], &roles));
    Ok(Gathered { shape, splits, classes, plan, understood, bad })
}

fn open_all(
    files: &[TableFile],
    settings: &Settings<'_>,
    reading: &mut Reading<'_>,
    questions: &mut Vec<OpenQuestion>,
) -> Result<Vec<Table>, DataError> {
    let mut ordered: Vec<&TableFile> = files.iter().collect();
    // The training file states the header that the others repeat.
    ordered.sort_by_key(|file| file.split.is_some_and(|split| split != SplitName::Train));
    let mut tables: Vec<Table> = Vec::new();
    let mut seen = 0;
    for file in ordered {
        let mut own = Vec::new();
        let table = open(file, tables.first(), settings, &mut reading.memory, &mut own)?;
        let is_asked = !own.is_empty();
        for question in own {
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        if table.records == 0 && !is_asked {
            if table.bad.count > 0 {
                return Err(table.bad.too_many(Path::new(&file.name), 0));
            }
            return Err(DataError::File {
                file: file.name.clone(),
                reason: "holds no row".to_owned(),
            });
        }
        seen += table.records;
        (reading.progress)(LoadProgress::Reading { rows: seen });
        tables.push(table);
    }
    if tables.is_empty() {
        let reason = "there is no file with a table".to_owned();
        return Err(DataError::File { file: String::new(), reason });
    }
    Ok(tables)
}

/// Adds the statistics of the other files with the same columns and the same split, because one file of several
/// may have only one class.
fn add_shards(first: &mut Table, others: &[Table]) {
    for other in others {
        if other.names == first.names && other.file.split == first.file.split {
            for (profile, more) in first.profiles.iter_mut().zip(&other.profiles) {
                profile.merge(more);
            }
        }
    }
}

/// Asks for the splits of several files if the names of some of them state none.
fn ask_for_splits(tables: &[Table], open: &mut Vec<OpenQuestion>) {
    let unknown = || tables.iter().filter(|table| table.file.split.is_none());
    let names: Vec<String> = unknown().map(|table| table.file.name.clone()).collect();
    let some_known = names.len() < tables.len();
    let differ = tables.iter().any(|table| table.names != tables[0].names);
    if tables.len() > 1 && !names.is_empty() && (some_known || differ) {
        open.push(questions::files(&names));
    }
}

fn undecided(
    table: &Table,
    roles: &Roles,
    settings: &Settings<'_>,
    questions: Vec<OpenQuestion>,
    warnings: Vec<String>,
    bad: Bad,
) -> Gathered {
    let options = settings.options;
    let plan: ImportPlan =
        plan::plan(table, roles, options, &settings.missing, questions, warnings);
    let (shape, understood) = (plan::shape(roles), plan::understood(table, roles));
    Gathered { shape, splits: BTreeMap::new(), classes: None, plan, understood, bad }
}

/// Column of the first table that another one lacks.
struct Unmatched {
    column: usize,
    reason: String,
}

/// Returns a table's column for each column of the first table that has a role. Columns with names are matched by
/// their names, never by their positions.
fn places(first: &Table, table: &Table, roles: &Roles) -> Result<HashMap<usize, usize>, Unmatched> {
    let content = match &roles.content {
        Content::Texts(columns) => columns,
        Content::Pixels(pixels) => &pixels.columns,
    };
    let wanted =
        roles.label.into_iter().chain(roles.key).chain(roles.split).chain(content.iter().copied());
    let mut places = HashMap::new();
    for column in wanted {
        let place = if first.named && table.named {
            table.column(&first.names[column])
        } else if first.named == table.named && first.names.len() == table.names.len() {
            Some(column)
        } else {
            None
        };
        let Some(place) = place else {
            let shown = first.shown(column);
            let columns = table.names.join(", ");
            let reason = format!(
                "has no column {shown} of {}; its columns are {columns}. Columns of several files are matched by name",
                first.file.name
            );
            return Err(Unmatched { column, reason });
        };
        places.insert(column, place);
    }
    Ok(places)
}

/// Returns the class names of a Parquet file's label column.
fn stated_classes(table: &Table, roles: &Roles) -> Result<Option<Vec<String>>, DataError> {
    match (&table.reader, roles.label) {
        (Reader::Parquet(_), Some(label)) => {
            Ok(Columns::open(&table.file.path)?.class_names(&table.names[label]))
        }
        (_, _) => Ok(None),
    }
}

fn note_labels(found: &Found, warnings: &mut Vec<String>) {
    for (label, class) in &found.invisible {
        warnings.push(format!(
            "the labels `{label}` and `{class}` differ only by invisible characters and are one class"
        ));
    }
    let words: Vec<String> = found
        .missing_words
        .iter()
        .filter(|(word, _)| !word.is_empty())
        .map(|(word, rows)| format!("`{word}` ({rows} rows)"))
        .collect();
    if !words.is_empty() {
        let words = words.join(", ");
        warnings.push(format!("{words} as label counts as missing; --missing changes the words"));
    }
}

/// Refuses a label column without values in most rows, unless an option states the column.
fn check_unlabeled(
    found: &Found,
    bad: &Bad,
    options: &ImportOptions,
    table: &Table,
) -> Result<(), DataError> {
    let good: u64 = found.splits.values().map(|rows| rows.len() as u64).sum();
    if options.label.is_some() || bad.unlabeled <= good {
        return Ok(());
    }
    let rows = good + bad.unlabeled + bad.count;
    Err(DataError::TooManyBadRows {
        file: table.file.name.clone(),
        bad: bad.unlabeled + bad.count,
        rows,
        first: bad.first.clone(),
    })
}

/// Keeps at most the limit's rows of each split, selected by their hashes. Returns the number of the others, or
/// `None` if there is no row at all.
fn limit(
    splits: &mut BTreeMap<SplitName, Vec<LabeledRow>>,
    options: &ImportOptions,
) -> Option<u64> {
    splits.retain(|_, rows| !rows.is_empty());
    if splits.is_empty() {
        return None;
    }
    let Some(most) = options.limit else { return Some(0) };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut left_out = 0;
    for rows in splits.values_mut().filter(|rows| rows.len() > most) {
        let mut order: Vec<(blake3::Hash, usize)> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| (blake3::hash(row.sample.bytes()), index))
            .collect();
        order.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()).then(a.1.cmp(&b.1)));
        let mut keep = vec![false; rows.len()];
        order.iter().take(most).for_each(|(_, index)| keep[*index] = true);
        left_out += (rows.len() - most) as u64;
        let mut keep = keep.into_iter();
        rows.retain(|_| keep.next().unwrap_or(false));
    }
    Some(left_out)
}

/// Joins similar classes if the options say so, or else warns of them.
fn merge_classes(
    splits: &mut BTreeMap<SplitName, Vec<LabeledRow>>,
    options: &ImportOptions,
    warnings: &mut Vec<String>,
) {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for class in splits.values().flatten().filter_map(|row| row.class.as_ref()) {
        match counts.get_mut(class) {
            Some(count) => *count += 1,
            None => {
                counts.insert(class.clone(), 1);
            }
        }
    }
    let mut renamed: HashMap<String, String> = HashMap::new();
    for group in similar(&counts) {
        let names: Vec<String> = group.iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(" and ");
        if options.merge_classes == Some(true) {
            warnings.push(format!("the classes {names} are joined as `{}`", group[0]));
            renamed.extend(group[1..].iter().map(|name| (name.clone(), group[0].clone())));
        } else {
            warnings.push(format!(
                "the classes {names} differ only by case, spaces, Unicode form or number format; --merge-classes \
                 joins them"
            ));
        }
    }
    for class in splits.values_mut().flatten().filter_map(|row| row.class.as_mut()) {
        if let Some(name) = renamed.get(class) {
            class.clone_from(name);
        }
    }
}
