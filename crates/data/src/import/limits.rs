//! Limits on a person's file: disk space while it is unpacked and memory while it is read. The
//! file's own claims are not trusted, so everything is counted as it is read.

use std::path::Path;

use crate::LoadProgress;

/// Longest row in bytes. A longer row usually misses a closing quote.
pub(super) const LONGEST_ROW: u64 = 16 << 20;
/// Most columns of a table: enough for an image of 140×140 gray values.
pub(super) const MOST_COLUMNS: usize = 20_000;

/// Memory of a cell besides its bytes: its place in the row and the allocator's overhead.
const CELL: usize = 40;
/// Memory of a row besides its cells.
const ROW: usize = 64;

/// Limits for one file. Rows are briefly in memory twice while they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes for the unpacked file.
    pub disk: u64,
    /// Bytes of memory for the rows.
    pub memory: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { disk: 8 << 30, memory: 4 << 30 }
    }
}

/// File that is being read.
pub(crate) struct Reading<'a> {
    /// Temporary folder for unpacking, removed afterwards.
    pub scratch: &'a Path,
    /// Bytes left for unpacking.
    pub disk: u64,
    pub memory: Memory,
    pub progress: &'a mut dyn FnMut(LoadProgress),
}

/// Memory budget for rows.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    most: u64,
    left: u64,
}

impl Memory {
    pub(crate) fn with_limit(bytes: u64) -> Self {
        Self { most: bytes, left: bytes }
    }

    /// Reserves `bytes`. Fails with a message if fewer are left.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        match self.left.checked_sub(bytes as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(format!(
                "its rows need more than {} MiB of memory; use fewer rows or columns",
                self.most >> 20
            )),
        }
    }

    /// Reserves the memory of one cell.
    pub(crate) fn take_cell(&mut self, length: usize) -> Result<(), String> {
        self.take(CELL + length)
    }

    /// Releases the memory of cells with this length in total.
    pub(crate) fn release_cells(&mut self, count: usize, length: usize) {
        self.left += (count * CELL + length) as u64;
    }

    /// Reserves the memory of one row besides its cells.
    pub(crate) fn take_row(&mut self) -> Result<(), String> {
        self.take(ROW)
    }
}

/// Refuses a table with too many columns.
pub(super) fn check_columns(count: usize) -> Result<(), String> {
    if count <= MOST_COLUMNS {
        return Ok(());
    }
    Err(format!("has more than {MOST_COLUMNS} columns; remove those that are not needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up() {
        let mut memory = Memory::with_limit((1 << 20) + 5);
        memory.take(1 << 20).unwrap();
        memory.take(5).unwrap();
        assert_eq!(
            memory.take(1).unwrap_err(),
            "its rows need more than 1 MiB of memory; use fewer rows or columns"
        );
    }
}
