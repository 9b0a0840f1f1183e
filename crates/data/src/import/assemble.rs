//! Dataset from rows: numbers the classes, splits the rows, and refuses what can't be trained on.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use protocol::dataset::DatasetInfo;
use protocol::dataset::import::{
    DatasetTask, ImportPlan, PlannedClass, PlannedSplit, SplitName, TestSplit,
};
use protocol::text;

use super::rows::{Bad, Gathered, LabeledRow, SplitRows};
use crate::{DataError, Dataset, Row, split};

/// Dataset with its plan and what was left out.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub dataset: Dataset,
    pub plan: ImportPlan,
    pub understood: String,
    pub bad: Bad,
}

/// Puts a dataset together. Open questions stay in the plan.
pub(crate) fn assemble(
    name: &str,
    file: &Path,
    gathered: Gathered,
) -> Result<Assembled, DataError> {
    let Gathered { shape, splits, classes, mut plan, understood, bad } = gathered;
    let good: u64 = splits.values().map(|split| split.rows.len() as u64).sum();
    if bad.count * 10 > good + bad.count {
        return Err(bad.too_many(file, good));
    }
    let classes = match plan.task {
        DatasetTask::Classification => class_names(&splits, classes)?,
        DatasetTask::Language => Vec::new(),
    };
    let has_test = splits.contains_key(&SplitName::Test);
    let mut parts: BTreeMap<SplitName, (Vec<Row>, String)> = BTreeMap::new();
    for (split, SplitRows { rows, source }) in splits {
        let keys: Vec<Option<String>> = rows.iter().map(|row| row.key.clone()).collect();
        let rows = numbered(rows, &classes);
        if split == SplitName::Train && !has_test {
            let how = plan.options.test_split.unwrap_or(match plan.task {
                DatasetTask::Classification => TestSplit::Stratified,
                DatasetTask::Language => TestSplit::Tail,
            });
            plan.options.test_split = Some(how);
            let (train, test) = split::take_test(rows, &keys, how);
            let taken = match (how, keys.iter().any(Option::is_some)) {
                (TestSplit::Tail, _) => "the last tenth of the rows",
                (TestSplit::Stratified, false) => "a tenth of each class",
                (TestSplit::Stratified, true) => "all rows of a tenth of the keys",
            };
            parts.insert(SplitName::Train, (train, source));
            parts.insert(SplitName::Test, (test, taken.to_owned()));
        } else {
            parts.insert(split, (rows, source));
        }
    }
    plan.sample = Some(shape);
    plan.splits = parts
        .iter()
        .map(|(split, (rows, source))| PlannedSplit {
            split: *split,
            rows: rows.len() as u64,
            source: source.clone(),
        })
        .collect();
    plan.classes = planned_classes(&classes, &parts);
    let mut take = |split| parts.remove(&split).map(|(rows, _)| rows).unwrap_or_default();
    let (train, validation, test) =
        (take(SplitName::Train), take(SplitName::Validation), take(SplitName::Test));
    if train.is_empty() || test.is_empty() {
        let empty = if train.is_empty() { "train" } else { "test" };
        return Err(DataError::file(file, format!("has no row for the {empty} split")));
    }
    let info = DatasetInfo {
        name: name.to_owned(),
        sample: shape,
        classes,
        train_rows: train.len() as u64,
        validation_rows: validation.len() as u64,
        test_rows: test.len() as u64,
        version: 1,
        source: "uploaded".to_owned(),
        licence: "not stated".to_owned(),
    };
    Ok(Assembled { dataset: Dataset { info, train, validation, test }, plan, understood, bad })
}

/// Returns the classes in the order of their numbers.
fn class_names(
    splits: &BTreeMap<SplitName, SplitRows>,
    stated: Option<Vec<String>>,
) -> Result<Vec<String>, DataError> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for row in splits.values().flat_map(|split| &split.rows) {
        *counts.entry(row.class.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let found: Vec<String> = counts.keys().map(ToString::to_string).collect();
    if found.len() < 2 {
        return Err(DataError::TooFewClasses(found.len()));
    }
    let few = counts.iter().filter(|(_, rows)| **rows < 2).min();
    if let Some((class, rows)) = few {
        return Err(DataError::ClassTooSmall { class: (*class).to_owned(), rows: *rows });
    }
    let classes = stated.unwrap_or_else(|| ordered(found));
    // Checks the class names of folders and of Parquet files. Rows with other invalid labels were already rejected.
    if let Some(class) = classes.iter().find(|class| text::check(class).is_err()) {
        return Err(DataError::HiddenClass(text::escaped(class)));
    }
    Ok(classes)
}

/// Sorts numbers by value and names alphabetically.
fn ordered(mut classes: Vec<String>) -> Vec<String> {
    let number = |class: &String| class.parse::<f64>().ok().filter(|number| number.is_finite());
    classes.sort();
    if classes.iter().all(|class| number(class).is_some()) {
        classes.sort_by(|a, b| {
            number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default())
        });
    }
    classes
}

fn numbered(rows: Vec<LabeledRow>, classes: &[String]) -> Vec<Row> {
    let numbers: HashMap<&str, u32> =
        classes.iter().zip(0..).map(|(class, number)| (class.as_str(), number)).collect();
    let label = |class: Option<&str>| class.and_then(|class| numbers.get(class)).copied();
    rows.into_iter()
        .map(|row| Row { label: label(row.class.as_deref()).unwrap_or(0), sample: row.sample })
        .collect()
}

fn planned_classes(
    classes: &[String],
    parts: &BTreeMap<SplitName, (Vec<Row>, String)>,
) -> Vec<PlannedClass> {
    let count = |split| {
        let mut counts = vec![0_u64; classes.len()];
        for row in parts.get(&split).map_or(&[][..], |(rows, _)| rows) {
            if let Some(count) = counts.get_mut(row.label as usize) {
                *count += 1;
            }
        }
        counts
    };
    let (train, validation, test) =
        (count(SplitName::Train), count(SplitName::Validation), count(SplitName::Test));
    let counts = train.into_iter().zip(validation).zip(test);
    let named = classes.iter().zip(counts);
    named
        .map(|(name, ((train_rows, validation_rows), test_rows))| PlannedClass {
            name: name.clone(),
            train_rows,
            validation_rows,
            test_rows,
        })
        .collect()
}
