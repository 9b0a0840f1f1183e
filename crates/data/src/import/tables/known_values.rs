//! Values of the columns in simple lines of a delimited text. They tell a record from a part of a quoted text.

use std::collections::HashSet;

use super::profile::number;

/// Most different values of a column whose values are known.
const MOST: usize = 50;

/// Values of each column.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownValues(Vec<Known>);

#[derive(Debug, Clone)]
enum Known {
    /// Few values that repeat.
    Values(HashSet<Vec<u8>>),
    Numbers,
    Any,
}

impl KnownValues {
    /// Learns from lines without quotes.
    pub(super) fn learn(lines: &[&[u8]], separator: u8, width: usize) -> Self {
        let mut columns = vec![Vec::new(); width];
        for line in lines {
            let cells: Vec<&[u8]> = line.split(|byte| *byte == separator).collect();
            if cells.len() == width {
                columns
                    .iter_mut()
                    .zip(cells)
                    .for_each(|(column, cell)| column.push(cell.trim_ascii()));
            }
        }
        Self(columns.iter().map(|cells| known(cells)).collect())
    }

    /// Returns whether a line is a record of its own if its quotes are letters.
    pub(super) fn fits(&self, line: &[u8], separator: u8) -> bool {
        let cells: Vec<&[u8]> = line.split(|byte| *byte == separator).collect();
        let fits = |(known, cell): (&Known, &&[u8])| {
            let bare = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"';
            let start = cell.iter().position(|byte| !bare(byte)).unwrap_or(cell.len());
            let end = cell.iter().rposition(|byte| !bare(byte)).map_or(start, |at| at + 1);
            let cell = &cell[start..end];
            match known {
                Known::Values(values) => values.contains(cell),
                Known::Numbers => is_number(cell),
                Known::Any => true,
            }
        };
        let decides = self.0.iter().any(|known| !matches!(known, Known::Any));
        decides && cells.len() == self.0.len() && self.0.iter().zip(&cells).all(fits)
    }
}

fn known(cells: &[&[u8]]) -> Known {
    // The first line may be a header.
    let rest = cells.get(1..).unwrap_or_default();
    let values: HashSet<Vec<u8>> = rest.iter().map(|cell| cell.to_vec()).collect();
    if values.len() >= 2 && values.len() <= MOST && values.len() * 2 <= rest.len() {
        Known::Values(values)
    } else if rest.len() >= 4 && rest.iter().all(|cell| is_number(cell)) {
        Known::Numbers
    } else {
        Known::Any
    }
}

fn is_number(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|cell| number(cell).is_some())
}
