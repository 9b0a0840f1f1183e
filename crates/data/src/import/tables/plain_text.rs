//! Plain text: paragraphs or lines for models that predict text, and lines that begin with `__label__`.

use std::borrow::Cow;
use std::path::Path;

use encoding_rs::Encoding;

use super::encoding;
use super::lines::Lines;
use super::visit::Visit;
use crate::import::rows::Bad;

/// Longest row in bytes. A longer paragraph becomes several rows.
const LONGEST: usize = 64 << 10;
const PREFIX: &str = "__label__";
/// Lines that detection reads.
const LINES: usize = 2000;

/// Layout of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Lines,
    /// Blocks between empty lines.
    Paragraphs,
    /// Labels of fastText, then the text.
    LabelPrefix,
}

/// How a plain text is read.
#[derive(Debug, Clone)]
pub(super) struct PlainText {
    pub encoding: &'static Encoding,
    pub layout: Layout,
}

impl PlainText {
    pub(super) fn detect(path: &Path, encoding: &'static Encoding) -> Result<Self, String> {
        let mut lines = Lines::new(encoding::open(path, encoding)?)?;
        let (mut count, mut labeled, mut empty) = (0_usize, 0, 0);
        let mut line = Vec::new();
        while count + empty < LINES && lines.next(&mut line)?.is_some() {
            if line.trim_ascii().is_empty() {
                empty += 1;
            } else {
                count += 1;
                labeled += usize::from(line.starts_with(PREFIX.as_bytes()));
            }
        }
        let layout = if count > 0 && labeled * 10 >= count * 9 {
            Layout::LabelPrefix
        } else if empty * 20 > count {
            Layout::Paragraphs
        } else {
            Layout::Lines
        };
        Ok(Self { encoding, layout })
    }

    pub(super) fn names(&self) -> Vec<String> {
        match self.layout {
            Layout::LabelPrefix => vec!["label".to_owned(), "text".to_owned()],
            Layout::Lines | Layout::Paragraphs => vec!["text".to_owned()],
        }
    }

    pub(super) fn visit(
        &self,
        path: &Path,
        name: &str,
        bad: &mut Bad,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let mut lines = Lines::new(encoding::open(path, self.encoding)?)?;
        let (mut block, mut start) = (String::new(), 1);
        let mut line = Vec::new();
        while let Some(number) = lines.next(&mut line)? {
            if line.contains(&0) {
                bad.push(name, number, "it has a NUL byte", "remove the byte, or the row");
                continue;
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                let change = "save the file as UTF-8, or name its encoding with --encoding";
                bad.push(name, number, "it is not UTF-8", change);
                continue;
            };
            if self.layout == Layout::LabelPrefix {
                labeled(text, number, name, bad, visit)?;
                continue;
            }
            let ends = self.layout == Layout::Lines || text.trim().is_empty();
            if block.is_empty() {
                start = number;
            }
            block.push_str(text);
            block.push('\n');
            if ends || block.len() > LONGEST {
                let text = block.trim_end();
                if !text.is_empty() {
                    visit(start, &[Cow::Borrowed(text)])?;
                }
                block.clear();
            }
        }
        let text = block.trim_end();
        if text.is_empty() { Ok(()) } else { visit(start, &[Cow::Borrowed(text)]) }
    }
}

fn labeled(
    line: &str,
    number: u64,
    name: &str,
    bad: &mut Bad,
    visit: &mut Visit<'_>,
) -> Result<(), String> {
    if line.trim().is_empty() {
        return Ok(());
    }
    let rest = line.strip_prefix(PREFIX);
    if let Some((label, text)) = rest.and_then(|rest| rest.split_once(char::is_whitespace)) {
        visit(number, &[Cow::Borrowed(label), Cow::Borrowed(text.trim())])
    } else {
        let change = "begin the line with `__label__`, the label and a space";
        bad.push(name, number, "it has no label and text", change);
        Ok(())
    }
}
