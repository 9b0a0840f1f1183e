//! Delimited text. A quote that nothing closes is a letter, so that it never swallows the next rows.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;

use encoding_rs::Encoding;

use super::encoding;
use super::known_values::KnownValues;
use super::lines::Lines;
use super::visit::Visit;
use crate::import::limits::check_columns;
use crate::import::rows::Bad;

/// Longest quoted value in bytes that spans lines.
const LONGEST_QUOTED: usize = 1 << 20;
/// Number of open quotes after which quoted values may not span lines, if there are more of them than of closed
/// ones. It bounds the time for a file of open quotes.
const MOST_OPEN: u64 = 100;

/// How a delimited text is read.
#[derive(Debug, Clone)]
pub(super) struct Delimited {
    pub encoding: &'static Encoding,
    pub separator: u8,
    pub quote: Option<u8>,
    /// Number of columns.
    pub width: usize,
    /// Line of the header. What is before it is not read.
    pub header_line: Option<u64>,
    /// Lines before the header, such as `sep=;`.
    pub skipped: u64,
    pub known: KnownValues,
}

/// Cells of one record, without quotes.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub line: u64,
    pub bytes: Vec<u8>,
    pub ends: Vec<usize>,
}

impl Record {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn cells(&self) -> Option<Vec<Cow<'_, str>>> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        let mut start = 0;
        let mut cells = Vec::with_capacity(self.ends.len());
        for end in &self.ends {
            cells.push(Cow::Borrowed(text.get(start..*end)?));
            start = *end;
        }
        Some(cells)
    }
}

impl Delimited {
    /// Calls `visit` with every record that has the right number of columns, without the header.
    pub(super) fn visit(
        &self,
        path: &Path,
        name: &str,
        bad: &mut Bad,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let mut records = self.records(path)?;
        let mut record = Record::default();
        while records.next(&mut record)? {
            let line = record.line;
            if self.header_line.is_some_and(|header| line <= header) {
                continue;
            }
            check_columns(record.ends.len())?;
            if record.bytes.contains(&0) {
                bad.push(name, line, "it has a NUL byte", "remove the byte, or the row");
                continue;
            }
            let Some(mut cells) = record.cells() else {
                let change = "save the file as UTF-8, or name its encoding with --encoding";
                bad.push(name, line, "it is not UTF-8", change);
                continue;
            };
            while cells.len() > self.width && cells.last().is_some_and(|cell| cell.is_empty()) {
                cells.pop();
            }
            if cells.len() == self.width {
                visit(line, &cells)?;
                continue;
            }
            let (found, width) = (cells.len(), self.width);
            let plural = if found == 1 { "" } else { "s" };
            let reason = format!("it has {found} column{plural}, but the other rows have {width}");
            let change = if found > width {
                "put values that contain a separator in quotes"
            } else {
                "add the missing values, or remove the row"
            };
            bad.push(name, line, reason, change);
        }
        if records.open > 0 {
            bad.open_quotes += records.open;
            bad.first_open_quote = bad.first_open_quote.or(records.first_open);
        }
        Ok(())
    }

    /// Opens the records, with the header.
    pub(super) fn records(&self, path: &Path) -> Result<Records, String> {
        let mut lines = Lines::new(encoding::open(path, self.encoding)?)?;
        let mut line = Vec::new();
        for _ in 0..self.skipped {
            lines.next(&mut line)?;
        }
        Ok(Records {
            lines,
            given_back: VecDeque::new(),
            separator: self.separator,
            quote: self.quote,
            known: self.known.clone(),
            open: 0,
            first_open: None,
            closed: 0,
        })
    }
}

/// Records of a text.
pub(super) struct Records {
    lines: Lines,
    /// Lines that were read ahead.
    given_back: VecDeque<(u64, Vec<u8>)>,
    separator: u8,
    quote: Option<u8>,
    known: KnownValues,
    /// Quotes that nothing closes.
    pub open: u64,
    pub first_open: Option<u64>,
    closed: u64,
}

impl Records {
    /// Reads the next record. Empty lines are none.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, String> {
        let mut line = Vec::new();
        loop {
            let Some(number) = self.line(&mut line)? else { return Ok(false) };
            if line.trim_ascii().is_empty() && !line.contains(&self.separator) {
                continue;
            }
            record.line = number;
            if self.parse(&line, record, true) {
                return Ok(true);
            }
            if !self.continued(&line, record)? {
                self.open += 1;
                self.first_open = self.first_open.or(Some(number));
                self.parse(&line, record, false);
            }
            return Ok(true);
        }
    }

    fn line(&mut self, line: &mut Vec<u8>) -> Result<Option<u64>, String> {
        if let Some((number, given_back)) = self.given_back.pop_front() {
            *line = given_back;
            return Ok(Some(number));
        }
        self.lines.next(line)
    }

    /// Reads lines until the open quote of the first one is closed. Returns `false`, and gives them back, if it
    /// isn't, or if the lines are records of their own.
    fn continued(&mut self, first: &[u8], record: &mut Record) -> Result<bool, String> {
        if self.open > MOST_OPEN && self.open > self.closed {
            return Ok(false);
        }
        let mut text = first.to_vec();
        let mut ahead: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut complete = false;
        let mut next = Vec::new();
        while text.len() <= LONGEST_QUOTED {
            let Some(number) = self.line(&mut next)? else { break };
            text.push(b'\n');
            text.extend_from_slice(&next);
            ahead.push((number, next.clone()));
            if next.iter().any(|byte| Some(*byte) == self.quote)
                && self.closes(&next)
                && self.parse(&text, record, true)
            {
                complete = true;
                break;
            }
        }
        let fitting =
            ahead.iter().filter(|(_, line)| self.known.fits(line, self.separator)).count();
        let swallowed = self.known.fits(first, self.separator) && fitting * 5 >= ahead.len() * 4;
        if complete && !swallowed {
            self.closed += 1;
            return Ok(true);
        }
        for line in ahead.into_iter().rev() {
            self.given_back.push_front(line);
        }
        Ok(false)
    }

    /// Returns whether a line has a quote that can end a value.
    fn closes(&self, line: &[u8]) -> bool {
        let Some(quote) = self.quote else { return false };
        let ends = |at: usize| {
            let rest = line[at + 1..].iter().find(|byte| **byte != b' ');
            line[at] == quote && rest.is_none_or(|byte| *byte == self.separator)
        };
        (0..line.len()).any(ends)
    }

    /// Splits a record into cells. Returns `false` if a quote is open. If values may not span lines, an open quote
    /// is a letter.
    fn parse(&self, text: &[u8], record: &mut Record, may_span: bool) -> bool {
        record.clear();
        let mut at = 0;
        loop {
            let spaces = text[at..].iter().take_while(|byte| **byte == b' ').count();
            let is_quoted = self.quote.is_some() && text.get(at + spaces).copied() == self.quote;
            let quoted = is_quoted.then(|| self.quoted(text, at + spaces + 1, &mut record.bytes));
            match quoted {
                Some(Some(end)) => at = end,
                Some(None) if may_span => return false,
                Some(None) | None => {
                    let rest = &text[at..];
                    let length = rest.iter().position(|byte| *byte == self.separator);
                    let length = length.unwrap_or(rest.len());
                    record.bytes.extend_from_slice(&rest[..length]);
                    at += length;
                }
            }
            record.ends.push(record.bytes.len());
            if at >= text.len() {
                return true;
            }
            at += 1;
        }
    }

    /// Appends the value from after its quote, and returns its end. Appends nothing if the quote is open.
    fn quoted(&self, text: &[u8], from: usize, out: &mut Vec<u8>) -> Option<usize> {
        let quote = self.quote?;
        let start = out.len();
        let mut at = from;
        while let Some(byte) = text.get(at) {
            if *byte != quote {
                out.push(*byte);
                at += 1;
                continue;
            }
            let after = at + 1;
            let spaces = text[after..].iter().take_while(|byte| **byte == b' ').count();
            let end = after + spaces;
            if text.get(after) == Some(&quote) {
                out.push(quote);
                at += 2;
            } else if end >= text.len() || text[end] == self.separator {
                return Some(end);
            } else {
                // A quote inside the value that nobody doubled.
                out.push(quote);
                at += 1;
            }
        }
        out.truncate(start);
        None
    }
}
