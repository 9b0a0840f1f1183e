//! Statistics of a column.

use std::collections::HashMap;

use super::names::MissingValues;
use crate::import::limits::Memory;

/// Most different values that are counted: the most classes of a label column.
pub(super) const MOST_VALUES: usize = 1000;
/// Most different values that are counted in a table of many columns, such as pixels.
const MOST_VALUES_OF_MANY: usize = 64;
const MANY_COLUMNS: usize = 500;
/// Longest value in bytes that can be a class.
const LONGEST_CLASS: usize = 200;
const EXAMPLES: usize = 3;
const LONGEST_EXAMPLE: usize = 100;

/// Statistics of a column. Missing values count in `missing` alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    pub present: u64,
    pub missing: u64,
    /// Rows of each value, or `None` if there are too many values or one is too long.
    pub values: Option<HashMap<String, u64>>,
    pub numbers: u64,
    pub whole: u64,
    pub booleans: u64,
    pub bytes: u64,
    pub words: u64,
    pub least: f64,
    pub greatest: f64,
    pub examples: Vec<String>,
    /// Type of a column that can't be read, in words.
    pub unreadable: Option<String>,
    most: usize,
}

impl Profile {
    pub(super) fn new(columns: usize) -> Self {
        let most = if columns > MANY_COLUMNS { MOST_VALUES_OF_MANY } else { MOST_VALUES };
        let (least, greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { values: Some(HashMap::new()), least, greatest, most, ..Self::default() }
    }

    pub(super) fn unreadable(kind: &str) -> Self {
        Self { unreadable: Some(kind.to_owned()), ..Self::default() }
    }

    /// Adds the statistics of the same column of another file.
    pub(super) fn merge(&mut self, other: &Self) {
        self.present += other.present;
        self.missing += other.missing;
        self.numbers += other.numbers;
        self.whole += other.whole;
        self.booleans += other.booleans;
        self.bytes += other.bytes;
        self.words += other.words;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        self.values = match (self.values.take(), &other.values) {
            (Some(mut values), Some(more)) => {
                for (value, count) in more {
                    *values.entry(value.clone()).or_default() += count;
                }
                (values.len() <= self.most).then_some(values)
            }
            (_, _) => None,
        };
    }

    /// Adds a cell. The values that the profile holds count against `memory`, because an import of many files
    /// holds those of each file.
    pub(super) fn add(
        &mut self,
        cell: &str,
        missing: &MissingValues,
        memory: &mut Memory,
    ) -> Result<(), String> {
        let cell = cell.trim();
        if missing.contains(cell) {
            self.missing += 1;
            return Ok(());
        }
        self.present += 1;
        self.bytes += cell.len() as u64;
        let start = cell.as_bytes().first().copied().unwrap_or(b' ');
        let may_be_number = start.is_ascii_digit() || b"+-.".contains(&start);
        if may_be_number && let Some(number) = number(cell) {
            self.numbers += 1;
            self.whole += u64::from(number.fract() == 0.0);
            self.least = self.least.min(number);
            self.greatest = self.greatest.max(number);
        } else {
            self.booleans += u64::from(matches!(cell, "true" | "false" | "True" | "False"));
            self.words += cell.split_whitespace().count() as u64;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(cell.chars().take(LONGEST_EXAMPLE).collect());
        }
        if let Some(values) = &mut self.values {
            if let Some(count) = values.get_mut(cell) {
                *count += 1;
            } else if cell.len() > LONGEST_CLASS || values.len() == self.most {
                memory.release_cells(values.len(), values.keys().map(String::len).sum());
                self.values = None;
            } else {
                memory.take_cell(cell.len())?;
                values.insert(cell.to_owned(), 1);
            }
        }
        Ok(())
    }

    /// Returns whether all values are numbers.
    pub(super) fn is_numeric(&self) -> bool {
        self.present > 0 && self.numbers == self.present
    }

    /// Returns the number of classes if the values can be classes: few different ones that repeat.
    pub(super) fn classes(&self) -> Option<usize> {
        let count = self.values.as_ref()?.len();
        let fractions = self.numbers - self.whole;
        let can = self.unreadable.is_none()
            && count >= 2
            && count as u64 * 2 <= self.present
            && fractions * 2 <= self.present;
        can.then_some(count)
    }

    pub(super) fn bytes_per_value(&self) -> u64 {
        self.bytes / self.present.max(1)
    }

    /// Returns whether most values are sentences.
    pub(super) fn is_prose(&self) -> bool {
        self.unreadable.is_none() && self.present > 0 && self.words >= self.present * 3
    }

    /// Returns how even the values are: 1 if all are equally frequent, 0 without repeated values.
    pub(super) fn evenness(&self) -> f64 {
        let Some(values) = &self.values else { return 0.0 };
        if values.len() < 2 {
            return 0.0;
        }
        let least = values.values().min().copied().unwrap_or(0);
        (least * values.len() as u64) as f64 / self.present.max(1) as f64
    }

    /// Returns the type of the values in words.
    pub(super) fn kind(&self) -> String {
        if let Some(kind) = &self.unreadable {
            return kind.clone();
        }
        let kind = match self.present {
            0 => "empty",
            present if self.whole == present => "whole number",
            present if self.numbers == present => "number",
            present if self.booleans == present => "true or false",
            _ => "text",
        };
        kind.to_owned()
    }
}

/// Returns a number with a decimal point. A decimal comma doesn't count.
pub(super) fn number(cell: &str) -> Option<f64> {
    let shaped = cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !shaped {
        return None;
    }
    cell.parse::<f64>().ok().filter(|number| number.is_finite())
}
