//! Detection of a header by comparing the first row with the rest.

use std::borrow::Cow;
use std::collections::HashSet;

use super::names;
use super::profile::number;

/// Rows that are compared.
pub(super) const ROWS: usize = 1000;

/// Answer of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Yes,
    No,
    /// Nothing tells the first row from the others.
    Open,
}

/// Compares the first row with the following ones, which have the same number of cells.
pub(super) fn detect(first: &[Cow<'_, str>], rest: &[Vec<String>]) -> Header {
    let cells: Vec<&str> = first.iter().map(|cell| cell.trim()).collect();
    let different: HashSet<&str> = cells.iter().copied().collect();
    let is_counted = cells.len() > 2
        && cells.iter().enumerate().all(|(at, cell)| {
            cell.parse() == Ok(at)
                || (at == 0 && cell.is_empty())
                || (at > 0 && cell.parse() == Ok(at - 1))
        });
    if is_counted && !rest.is_empty() {
        return Header::Yes;
    }
    let all_short = cells.iter().all(|cell| cell.chars().count() <= 60);
    let mut score = 0_i32;
    for (at, cell) in cells.iter().enumerate() {
        let column: Vec<&str> =
            rest.iter().filter_map(|row| row.get(at)).map(|cell| cell.trim()).collect();
        score += compare(cell, &column);
    }
    let known = cells.iter().filter(|cell| names::is_known(cell)).count();
    let names = i32::from(all_short && known > 0 && (known > 1 || cells.len() < 4));
    if different.len() < cells.len() && score < 6 {
        // Names of columns differ from each other.
        score -= 2;
    }
    score += names * 2;
    match score {
        1.. => Header::Yes,
        0 => Header::Open,
        _ => Header::No,
    }
}

/// Compares a cell with the column below it. Positive if it looks like a name.
fn compare(cell: &str, column: &[&str]) -> i32 {
    let present: Vec<&str> = column.iter().copied().filter(|cell| !cell.is_empty()).collect();
    if present.is_empty() {
        return 0;
    }
    let numbers = present.iter().filter(|cell| number(cell).is_some()).count();
    if numbers * 10 >= present.len() * 9 {
        return match (cell.is_empty(), number(cell)) {
            (true, _) => 0,
            (false, Some(_)) => -3,
            (false, None) => 3,
        };
    }
    let values: HashSet<&str> = present.iter().copied().collect();
    let repeats =
        values.len() * 2 <= present.len() || (values.len() < present.len() && present.len() < 8);
    if values.contains(cell) {
        return if repeats { -4 } else { -1 };
    }
    if repeats {
        return if cell.is_empty() { 0 } else { 2 };
    }
    let longest = present.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let shortest = present.iter().map(|cell| cell.chars().count()).min().unwrap_or(0);
    let length = cell.chars().count();
    let words = |text: &str| text.split_whitespace().count();
    let is_prose = present.iter().map(|cell| words(cell)).sum::<usize>() >= present.len() * 4;
    if length > 0 && is_prose && words(cell) <= 3 && length * 2 < shortest.max(longest / 4) {
        2
    } else if is_prose && length > 0 && words(cell) >= 4 {
        -1
    } else {
        0
    }
}
