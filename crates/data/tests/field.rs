//! Tables from the field in the folder `shared/field` beside the checkout. `import_table_cases` has the same kinds
//! made in code.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    reason = "the functions around the tests are tests too"
)]

use std::path::{Path, PathBuf};

use data::{AddReport, Dataset, ImportFile, ReadLimits, read_file};
use protocol::dataset::import::{FileRole, ImportOptions};

/// File, rows, rows that are left out, classes, and a part of a warning.
type Case = (&'static str, usize, u64, &'static [&'static str], &'static str);

const CASES: [Case; 14] = [
    ("02-tab-and-two-commas.tsv", 24, 0, &["ham", "spam"], ""),
    ("03-open-quotes.tsv", 24, 0, &["0", "1"], ""),
    ("04-open-quotes.csv", 24, 0, &["a", "b"], "start with a quote that nothing closes"),
    ("06-json-array-one-a-line.json", 40, 0, &["G", "PG", "R"], ""),
    ("08-bom.jsonl", 24, 0, &["a", "b"], ""),
    ("09-sep-line.csv", 24, 0, &["a", "b"], ""),
    ("10-header-of-unknown-names.csv", 24, 0, &["Credit card", "Mortgage"], ""),
    ("11-nan-words-as-labels.csv", 35, 5, &["a", "b"], "counts as missing"),
    ("12-labels-1-and-1.0.csv", 24, 0, &["0", "0.0", "1", "1.0"], "`1` and `1.0`"),
    ("17-one-nul.csv", 23, 1, &["a", "b"], ""),
    ("18-zero-width-space.csv", 24, 0, &["a", "b"], "invisible characters"),
    ("26-test-columns-in-other-order.zip", 0, 0, &[], ""),
    ("40-int96-column-nobody-needs.parquet", 24, 0, &[], ""),
    ("43-decimal-labels.parquet", 24, 0, &["0", "1"], ""),
];

#[test]
fn every_table_has_its_right_value() {
    let Some(field) = field() else { return };
    let mut wrong = Vec::new();
    for (name, rows, bad, classes, warning) in CASES {
        let (dataset, report) = match read(&field.join(name)) {
            Ok(read) => read,
            Err(error) => {
                wrong.push(format!("{name}: refused: {error}"));
                continue;
            }
        };
        let found = dataset.train.len() + dataset.validation.len() + dataset.test.len();
        let warned = report.plan.warnings.iter().any(|it| it.contains(warning));
        let classes_are_right = classes.is_empty() || dataset.info.classes == classes;
        let rows_are_right = rows == 0 || found == rows;
        println!("{name}: {found} rows, {:?}, {}", dataset.info.classes, report.understood);
        if !rows_are_right
            || report.bad_rows != bad
            || !classes_are_right
            || !(warning.is_empty() || warned)
        {
            wrong.push(format!(
                "{name}: {found} rows, {} bad, {:?}, {:?}, {:?}",
                report.bad_rows, dataset.info.classes, report.plan.warnings, report.problems
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn columns_of_the_test_file_are_matched_by_name() {
    let Some(field) = field() else { return };
    let (dataset, report) = read(&field.join("26-test-columns-in-other-order.zip")).unwrap();
    assert!(report.understood.ends_with("classes in `stars`"), "{}", report.understood);
    assert!(!dataset.test.is_empty());
    let label = report.plan.classes.iter().all(|class| class.train_rows > 0);
    assert!(label, "every class is from the training file: {:?}", report.plan.classes);
}

fn read(path: &Path) -> Result<(Dataset, AddReport), data::DataError> {
    let files = [ImportFile { path: path.to_owned(), role: FileRole::Data }];
    read_file("field", &files, &ImportOptions::default(), ReadLimits::default(), &mut |_| {})
}

fn field() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/field");
    let data = std::env::var_os("CONSTELLATION_DATA_DIR").map(PathBuf::from);
    let of_data = data.as_ref().and_then(|data| Some(data.parent()?.join("field")));
    let found = [Some(beside), of_data].into_iter().flatten().find(|folder| folder.is_dir());
    if found.is_none() {
        println!(
            "skipped: no files from the field here; put them into shared/field beside the checkout"
        );
    }
    found
}
