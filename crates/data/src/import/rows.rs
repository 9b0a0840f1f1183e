//! Rows as the readers return them, with what they left out.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::dataset::SampleShape;
use protocol::dataset::import::{
    ImportOptions, ImportPlan, LeftOut, OpenQuestion, Place, SplitName,
};

use super::bad_row::BadRow;
use crate::{DataError, Sample};

/// Row before its class has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabeledRow {
    /// `None` in datasets whose models predict the text itself.
    pub class: Option<String>,
    /// Names whom the row belongs to. Rows of one key stay in one split.
    pub key: Option<String>,
    pub sample: Sample,
}

/// Rows of one split.
#[derive(Debug, Default)]
pub(crate) struct SplitRows {
    pub rows: Vec<LabeledRow>,
    /// Source in words, such as `test.csv`.
    pub source: String,
}

/// Content of the files of an import.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub shape: SampleShape,
    pub splits: BTreeMap<SplitName, SplitRows>,
    /// Names and order of the classes, if the files state them.
    pub classes: Option<Vec<String>>,
    /// Everything that was decided before the rows were put together.
    pub plan: ImportPlan,
    /// Description of the columns in one line.
    pub understood: String,
    pub bad: Bad,
}

impl Gathered {
    /// Returns the plan of files that are not read before these questions are answered.
    pub(crate) fn undecided(
        format: &str,
        questions: Vec<OpenQuestion>,
        options: &ImportOptions,
    ) -> Self {
        let plan = ImportPlan {
            format: format.to_owned(),
            questions,
            options: options.clone(),
            ..ImportPlan::default()
        };
        Self {
            shape: SampleShape::Text,
            splits: BTreeMap::new(),
            classes: None,
            plan,
            understood: format.to_owned(),
            bad: Bad::default(),
        }
    }
}

/// Rows and files that are not imported.
#[derive(Debug, Default)]
pub(crate) struct Bad {
    /// Rows that can't be used. Too many of them suggest that the file was misinterpreted.
    pub count: u64,
    /// Rows without a label, which many files have.
    pub unlabeled: u64,
    /// Values that start with a quote that nothing closes.
    pub open_quotes: u64,
    /// Line of the first of them.
    pub first_open_quote: Option<u64>,
    /// The first rows of both kinds.
    pub first: Vec<BadRow>,
    pub left_out: LeftOutList,
}

impl Bad {
    const KEPT: usize = 20;
    /// Longest reason in characters. A reason may quote the file.
    const LONGEST_REASON: usize = 300;

    /// Records a row that can't be used.
    pub(crate) fn push(&mut self, file: &str, line: u64, reason: impl Into<String>, change: &str) {
        let reason = reason.into();
        self.push_kind(file, line, &reason.clone(), reason, change);
    }

    /// Records a row that can't be used. `kind` is its reason without the row's own values.
    pub(crate) fn push_kind(
        &mut self,
        file: &str,
        line: u64,
        kind: &str,
        reason: impl Into<String>,
        change: &str,
    ) {
        self.count += 1;
        self.left_out.push(kind, change, file, Some(line));
        self.keep(file, line, &reason.into(), change);
    }

    /// Records a file that can't be used. It counts as a row.
    pub(crate) fn push_file(
        &mut self,
        file: &str,
        kind: &str,
        reason: impl Into<String>,
        change: &str,
    ) {
        self.count += 1;
        self.left_out.push(kind, change, file, None);
        self.keep(file, 1, &reason.into(), change);
    }

    /// Records a row without a label.
    pub(crate) fn push_unlabeled(&mut self, file: &str, line: u64, reason: &str, change: &str) {
        self.unlabeled += 1;
        self.left_out.push(reason, change, file, Some(line));
        self.keep(file, line, reason, change);
    }

    /// Records a file, or a row that was not asked for. It doesn't count as a bad row.
    pub(crate) fn leave_out(&mut self, file: &str, line: Option<u64>, reason: &str, change: &str) {
        self.left_out.push(reason, change, file, line);
    }

    /// Adds what another reader left out.
    pub(crate) fn extend(&mut self, other: Self) {
        self.count += other.count;
        self.unlabeled += other.unlabeled;
        let room = Self::KEPT.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
        self.left_out.extend(other.left_out);
    }

    /// Returns the error for a file with so many bad rows that it was probably misinterpreted.
    pub(crate) fn too_many(self, file: &Path, good: u64) -> DataError {
        let bad = self.count + self.unlabeled;
        let (file, rows) = (file.display().to_string(), good + bad);
        DataError::TooManyBadRows { file, bad, rows, first: self.first }
    }

    fn keep(&mut self, file: &str, line: u64, reason: &str, change: &str) {
        if self.first.len() < Self::KEPT {
            let reason = reason.chars().take(Self::LONGEST_REASON).collect();
            let (file, change) = (file.to_owned(), change.to_owned());
            self.first.push(BadRow { file, line, reason, change });
        }
    }
}

/// Reasons for which rows and files are left out, each with its count and first places.
#[derive(Debug, Default)]
pub(crate) struct LeftOutList(Vec<LeftOut>);

impl LeftOutList {
    const PLACES: usize = 3;
    /// Most different reasons. Others are counted together.
    const REASONS: usize = 50;

    pub(crate) fn push(&mut self, reason: &str, change: &str, file: &str, line: Option<u64>) {
        let place = Place { file: file.to_owned(), line };
        let known = |it: &LeftOut| it.reason == reason && it.change == change;
        if let Some(at) = self.0.iter().position(known) {
            self.add(at, 1, vec![place]);
        } else {
            let (count, first) = (1, vec![place]);
            let (reason, change) = (reason.to_owned(), change.to_owned());
            self.insert(LeftOut { reason, change, count, first });
        }
    }

    /// Records files that nobody wants to see by name.
    pub(crate) fn push_many(&mut self, reason: &str, change: &str, count: u64) {
        let (reason, change) = (reason.to_owned(), change.to_owned());
        self.insert(LeftOut { reason, change, count, first: Vec::new() });
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for left_out in other.0 {
            let known = |it: &LeftOut| it.reason == left_out.reason && it.change == left_out.change;
            match self.0.iter().position(known) {
                Some(at) => self.add(at, left_out.count, left_out.first),
                None => self.insert(left_out),
            }
        }
    }

    pub(crate) fn into_vec(self) -> Vec<LeftOut> {
        self.0
    }

    fn insert(&mut self, left_out: LeftOut) {
        if self.0.len() < Self::REASONS {
            self.0.push(left_out);
            return;
        }
        let other = "another reason";
        match self.0.iter().position(|it| it.reason == other) {
            Some(at) => self.add(at, left_out.count, left_out.first),
            None => self.0.push(LeftOut { reason: other.to_owned(), ..left_out }),
        }
    }

    fn add(&mut self, at: usize, count: u64, places: Vec<Place>) {
        let known = &mut self.0[at];
        known.count += count;
        let room = Self::PLACES.saturating_sub(known.first.len());
        known.first.extend(places.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_count_and_first_three_places() {
        let mut bad = Bad::default();
        for line in 1..=5 {
            bad.push("a.csv", line, "it is short", "add a value");
        }
        bad.leave_out("notes.txt", None, "not an image", "remove it");
        let mut other = Bad::default();
        other.push("b.csv", 9, "it is short", "add a value");
        bad.extend(other);
        assert_eq!((bad.count, bad.first.len()), (6, 6));
        let left_out = bad.left_out.into_vec();
        assert_eq!((left_out[0].count, left_out[0].first.len()), (6, 3));
        assert_eq!(left_out[1].first, [Place { file: "notes.txt".to_owned(), line: None }]);
    }

    #[test]
    fn many_reasons_are_counted_together() {
        let mut bad = Bad::default();
        for line in 0..200 {
            bad.push("a.csv", line, format!("reason {line}"), "change");
        }
        let left_out = bad.left_out.into_vec();
        assert_eq!(left_out.len(), LeftOutList::REASONS + 1);
        assert_eq!(left_out.iter().map(|it| it.count).sum::<u64>(), 200);
    }
}
