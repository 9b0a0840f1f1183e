//! One input with the dataset that it makes.

use std::fs;
use std::path::PathBuf;

use data::{AddReport, DataError, Dataset, ImportFile, ReadLimits, read_file};
use protocol::dataset::import::{FileRole, ImportOptions};
use tempfile::TempDir;

/// Input and the expected dataset.
pub(crate) struct Case {
    /// Kind of report that the input stands for.
    pub(crate) kind: &'static str,
    /// Name and bytes of each file.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) options: ImportOptions,
    /// Rows of all splits together.
    pub(crate) rows: usize,
    /// Rows of the files' own validation and test splits. `None` if the test split is derived.
    pub(crate) splits: Option<(usize, usize)>,
    pub(crate) classes: Vec<&'static str>,
    /// Beginning of the report's description of the columns.
    pub(crate) understood: &'static str,
    /// Rows that are named as left out.
    pub(crate) bad: u64,
    /// Part of a warning.
    pub(crate) warning: &'static str,
    /// Text of one row.
    pub(crate) has: &'static str,
}

impl Case {
    pub(crate) fn new(kind: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            files: vec![(name, bytes.into())],
            options: ImportOptions::default(),
            rows: 24,
            splits: None,
            classes: vec!["a", "b"],
            understood: "",
            bad: 0,
            warning: "",
            has: "",
        }
    }

    pub(crate) fn and(mut self, name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, bytes.into()));
        self
    }

    pub(crate) fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    pub(crate) fn splits(mut self, validation: usize, test: usize) -> Self {
        self.splits = Some((validation, test));
        self
    }

    pub(crate) fn classes(mut self, classes: &[&'static str]) -> Self {
        self.classes = classes.to_vec();
        self
    }

    pub(crate) fn understood(mut self, text: &'static str) -> Self {
        self.understood = text;
        self
    }

    pub(crate) fn bad(mut self, bad: u64) -> Self {
        self.bad = bad;
        self
    }

    pub(crate) fn warns(mut self, warning: &'static str) -> Self {
        self.warning = warning;
        self
    }

    pub(crate) fn has(mut self, text: &'static str) -> Self {
        self.has = text;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut ImportOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Reads the files.
    pub(crate) fn read(&self, options: &ImportOptions) -> Result<(Dataset, AddReport), DataError> {
        let folder = TempDir::new().unwrap();
        let files: Vec<ImportFile> = self
            .files
            .iter()
            .map(|(name, bytes)| {
                let path: PathBuf = folder.path().join(name);
                fs::write(&path, bytes).unwrap();
                ImportFile { path, role: FileRole::Data }
            })
            .collect();
        read_file("case", &files, options, ReadLimits::default(), &mut |_| {})
    }

    /// Returns what differs from the expected dataset.
    pub(crate) fn differences(&self, options: &ImportOptions) -> Vec<String> {
        let (dataset, report) = match self.read(options) {
            Ok(read) => read,
            Err(error) => return vec![format!("refused: {error}")],
        };
        let mut wrong = Vec::new();
        let mut same = |what: &str, found: String, expected: String| {
            if found != expected {
                wrong.push(format!("{what}: {found}, expected {expected}"));
            }
        };
        let Dataset { info, train, validation, test } = &dataset;
        let rows = train.len() + validation.len() + test.len();
        same("rows", rows.to_string(), self.rows.to_string());
        same("classes", format!("{:?}", info.classes), format!("{:?}", self.classes));
        same("bad rows", report.bad_rows.to_string(), self.bad.to_string());
        if let Some(splits) = self.splits {
            same("splits", format!("{:?}", (validation.len(), test.len())), format!("{splits:?}"));
        }
        let understood = &report.understood;
        same("columns", understood.starts_with(self.understood).to_string(), "true".to_owned());
        let warned = report.plan.warnings.iter().any(|warning| warning.contains(self.warning));
        same("warns", (self.warning.is_empty() || warned).to_string(), "true".to_owned());
        let mut all = train.iter().chain(validation).chain(test);
        let has = all.any(|row| row.sample.bytes() == self.has.as_bytes());
        same("has the row", (self.has.is_empty() || has).to_string(), "true".to_owned());
        let left_out: u64 = report.plan.left_out.iter().map(|it| it.count).sum();
        same("left out", (left_out >= self.bad).to_string(), "true".to_owned());
        if !wrong.is_empty() {
            wrong.push(format!("{understood}; {:?}; {:?}", report.plan.warnings, report.problems));
            return wrong;
        }
        // The plan's options give the same plan.
        match self.read(&report.plan.options) {
            Ok((again, _)) if again == dataset => {}
            Ok((again, _)) => wrong.push(format!("with the plan's options: {:?}", again.info)),
            Err(error) => wrong.push(format!("with the plan's options, refused: {error}")),
        }
        wrong
    }
}

/// Checks all cases, and reports all that differ.
pub(crate) fn check(cases: Vec<Case>) {
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|case| {
            let wrong = case.differences(&case.options);
            (!wrong.is_empty()).then(|| format!("{}: {}", case.kind, wrong.join("; ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Writes 24 rows, or as many as the line function is called for.
pub(crate) fn lines(rows: usize, line: impl Fn(usize) -> String) -> String {
    (0..rows).map(line).collect()
}

pub(crate) fn ab(row: usize) -> &'static str {
    ["a", "b"][row % 2]
}

/// A table with a header, a separator and a line end.
pub(crate) fn table(separator: &str, end: &str) -> String {
    let rows = lines(24, |n| format!("words of row {n}{separator}{}{end}", ab(n)));
    format!("text{separator}label{end}{rows}")
}
