//! Lines of a text file with their numbers. A line ends with LF, CRLF, or CR in files without LF.

use std::io::{BufRead, Read};

use crate::import::limits::LONGEST_ROW;

/// Lines of a text.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    end: u8,
    number: u64,
}

impl Lines {
    pub(super) fn new(mut source: Box<dyn BufRead>) -> Result<Self, String> {
        let start = source.fill_buf().map_err(|error| error.to_string())?;
        let end = if start.contains(&b'\n') || !start.contains(&b'\r') { b'\n' } else { b'\r' };
        Ok(Self { source, end, number: 0 })
    }

    /// Reads the next line without its end, and returns its number from 1.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> Result<Option<u64>, String> {
        line.clear();
        let mut source = self.source.by_ref().take(LONGEST_ROW);
        if source.read_until(self.end, line).map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.len() as u64 == LONGEST_ROW {
            let most = LONGEST_ROW >> 20;
            return Err(format!(
                "line {} is longer than {most} MiB; is a closing quote missing?",
                self.number
            ));
        }
        if line.last() == Some(&self.end) {
            line.pop();
        }
        if self.end == b'\n' && line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(self.number))
    }
}
