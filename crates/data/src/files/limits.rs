//! What a file that a person adds may take on its way to rows: of the disk while it is unpacked, and
//! of memory while it is read. It may claim anything, so everything is counted as it comes.

use std::path::Path;

use crate::LoadProgress;

/// A row that is longer is no row: mostly a quote without its end. In bytes.
pub const LONGEST_ROW: u64 = 16 << 20;
/// Columns of a table: those of an image of 140×140 grey values.
pub const MOST_COLUMNS: usize = 20_000;

/// What a cell takes beside its bytes: its place in the row, and what the allocator adds.
const CELL: usize = 40;
/// What a row takes beside its cells.
const ROW: usize = 64;

/// The most that a file may take. Rows are in memory twice for a moment, when they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// For what it unpacks to, and again for its rows as they are stored, in bytes.
    pub disk: u64,
    /// For its rows, in bytes.
    pub memory: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { disk: 8 << 30, memory: 4 << 30 }
    }
}

/// A file that is being read.
pub(crate) struct Reading<'a> {
    /// Where it may be unpacked: a folder that is removed afterwards.
    pub scratch: &'a Path,
    /// Bytes that it may still be unpacked to.
    pub disk: u64,
    pub memory: Memory,
    pub progress: &'a mut dyn FnMut(LoadProgress),
}

/// Memory that rows may take.
#[derive(Debug, Clone)]
pub struct Memory {
    most: u64,
    left: u64,
}

impl Memory {
    pub fn of(bytes: u64) -> Self {
        Self { most: bytes, left: bytes }
    }

    /// Takes `bytes`, or says what to do where there are not so many left.
    pub fn take(&mut self, bytes: usize) -> Result<(), String> {
        match self.left.checked_sub(bytes as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(format!(
                "its rows take more than {} MiB of memory; add fewer rows or fewer columns",
                self.most >> 20
            )),
        }
    }

    /// Takes what one cell of a row needs.
    pub fn take_cell(&mut self, length: usize) -> Result<(), String> {
        self.take(CELL + length)
    }

    /// Takes what one row needs beside its cells.
    pub fn take_row(&mut self) -> Result<(), String> {
        self.take(ROW)
    }
}

/// Refuses a table of too many columns.
pub fn check_columns(count: usize) -> Result<(), String> {
    if count <= MOST_COLUMNS {
        return Ok(());
    }
    Err(format!("has more than {MOST_COLUMNS} columns; leave out those that are not needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_there_any_more() {
        let mut memory = Memory::of((1 << 20) + 5);
        memory.take(1 << 20).unwrap();
        memory.take(5).unwrap();
        assert_eq!(
            memory.take(1).unwrap_err(),
            "its rows take more than 1 MiB of memory; add fewer rows or fewer columns"
        );
    }
}
