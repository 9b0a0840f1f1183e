//! Detection of a delimited text's separator, quote and width, from many lines.

use std::path::Path;

use encoding_rs::Encoding;
use protocol::dataset::import::{ImportOptions, Quote};

use super::delimited::{Delimited, Record};
use super::encoding;
use super::known_values::KnownValues;
use super::lines::Lines;

/// Lines and bytes that detection reads.
const LINES: usize = 2000;
const BYTES: usize = 4 << 20;
const SEPARATORS: [u8; 4] = [b'\t', b'|', b';', b','];
/// Least share of lines with the same number of columns.
const CONSISTENT: f64 = 0.6;
/// The same for text files, which mostly hold prose.
const CONSISTENT_IN_PROSE: f64 = 0.95;

/// Detects the dialect. Returns `None` if the text has no columns.
pub(super) fn detect(
    path: &Path,
    encoding: &'static Encoding,
    options: &ImportOptions,
    name: &str,
) -> Result<Option<Delimited>, String> {
    let (lines, stated) = sample(path, encoding)?;
    let skipped = u64::from(stated.is_some());
    let borrowed: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    let chosen = match &options.separator {
        Some(name) => Some(separator_named(name)?),
        None => stated,
    };
    let new = |separator: u8, quote: Option<u8>| Delimited {
        encoding,
        separator,
        quote,
        width: 0,
        header_line: None,
        skipped,
        known: KnownValues::default(),
    };
    let mut best: Option<(f64, Delimited)> = None;
    for separator in SEPARATORS.into_iter().chain(chosen) {
        if chosen.is_some_and(|chosen| chosen != separator) {
            continue;
        }
        let mut dialect = new(separator, quote(&borrowed, separator, options));
        let Some((width, consistency)) = widths(path, &mut dialect, &borrowed)? else { continue };
        dialect.width = width;
        let score = consistency * (1.0 - prose(&borrowed, separator, &dialect));
        let ends = |ending: &str| name.to_lowercase().contains(ending);
        let least = match separator {
            b'\t' if ends(".tsv") || ends(".tab") => 0.0,
            b',' | b';' | b'\t' if ends(".csv") => 0.0,
            b'\t' => CONSISTENT,
            _ if ends(".txt") || ends(".md") => CONSISTENT_IN_PROSE,
            _ => CONSISTENT,
        };
        let share = if ends(".txt") { score } else { consistency };
        let enough = chosen.is_some() || (width > 1 && share >= least);
        if enough && best.as_ref().is_none_or(|(known, _)| score > *known) {
            best = Some((score, dialect));
        }
    }
    let is_table =
        [".csv", ".tsv", ".tab"].iter().any(|ending| name.to_lowercase().contains(ending));
    if best.is_none() && is_table && !lines.is_empty() {
        // A table of one column.
        let mut dialect = new(b',', Some(b'"'));
        dialect.width = 1;
        return Ok(Some(dialect));
    }
    Ok(best.map(|(_, dialect)| dialect))
}

/// Returns the separator of an option.
pub(super) fn separator_named(name: &str) -> Result<u8, String> {
    let byte = match name.to_lowercase().as_str() {
        "comma" => b',',
        "semicolon" => b';',
        "tab" | "\\t" => b'\t',
        "pipe" => b'|',
        "space" => b' ',
        "colon" => b':',
        _ => match name.as_bytes() {
            [byte] if byte.is_ascii() => *byte,
            _ => {
                return Err(format!(
                    "`{name}` can't be a separator; use one character, or comma, semicolon, tab, pipe or space"
                ));
            }
        },
    };
    Ok(byte)
}

/// Returns the separator's name in options.
pub(super) fn separator_name(separator: u8) -> String {
    match separator {
        b',' => "comma".to_owned(),
        b';' => "semicolon".to_owned(),
        b'\t' => "tab".to_owned(),
        b'|' => "pipe".to_owned(),
        b' ' => "space".to_owned(),
        other => char::from(other).to_string(),
    }
}

/// Reads the first lines, and the separator that a first line such as `sep=;` states.
fn sample(path: &Path, encoding: &'static Encoding) -> Result<(Vec<Vec<u8>>, Option<u8>), String> {
    let mut lines = Lines::new(encoding::open(path, encoding)?)?;
    let (mut sample, mut stated, mut bytes) = (Vec::new(), None, 0);
    let mut line = Vec::new();
    while sample.len() < LINES && bytes < BYTES && lines.next(&mut line)?.is_some() {
        let is_first = sample.is_empty() && stated.is_none();
        if is_first
            && let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] = line.as_slice()
        {
            stated = Some(*separator);
            continue;
        }
        bytes += line.len();
        if !line.trim_ascii().is_empty() {
            sample.push(line.clone());
        }
    }
    Ok((sample, stated))
}

/// Returns the quote character.
fn quote(lines: &[&[u8]], separator: u8, options: &ImportOptions) -> Option<u8> {
    match options.quote {
        Some(Quote::Double) => return Some(b'"'),
        Some(Quote::Single) => return Some(b'\''),
        Some(Quote::None) => return None,
        None => {}
    }
    let cells = || lines.iter().flat_map(|line| line.split(|byte| *byte == separator));
    let whole = |cell: &[u8], quote: u8| {
        let cell = cell.trim_ascii();
        cell.len() >= 2 && cell.first() == Some(&quote) && cell.last() == Some(&quote)
    };
    let starts =
        |quote: u8| cells().filter(move |cell| cell.trim_ascii_start().first() == Some(&quote));
    if starts(b'"').next().is_none() {
        let single = starts(b'\'').count();
        let wholly = cells().filter(|cell| whole(cell, b'\'')).count();
        let is_single = wholly * 10 >= single * 9 && wholly >= lines.len() && wholly > 1;
        return Some(if is_single { b'\'' } else { b'"' });
    }
    // In text with tabs, quotes are letters unless all of them are balanced.
    let balanced = starts(b'"').all(|cell| whole(cell, b'"'));
    (separator != b'\t' || balanced).then_some(b'"')
}

/// Returns the most frequent number of columns, and the share of records that have it.
fn widths(
    path: &Path,
    dialect: &mut Delimited,
    lines: &[&[u8]],
) -> Result<Option<(usize, f64)>, String> {
    let simple: Vec<&[u8]> = lines.iter().filter(|line| !line.contains(&b'"')).copied().collect();
    let count = |line: &&[u8]| line.split(|byte| *byte == dialect.separator).count();
    if let Some((width, _)) = most_frequent(simple.iter().map(count)) {
        dialect.known = KnownValues::learn(&simple, dialect.separator, width);
    }
    let mut records = dialect.records(path)?;
    let mut record = Record::default();
    let (mut widths, mut bytes) = (Vec::new(), 0);
    while widths.len() < LINES && bytes < BYTES && records.next(&mut record)? {
        bytes += record.bytes.len();
        widths.push(record.ends.len());
    }
    let found = most_frequent(widths.iter().copied());
    Ok(found.map(|(width, count)| (width, count as f64 / widths.len() as f64)))
}

/// Returns the most frequent number and its count. The first one wins a tie.
fn most_frequent(numbers: impl Iterator<Item = usize>) -> Option<(usize, usize)> {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match counts.iter().position(|(known, _)| *known == number) {
            Some(at) => counts[at].1 += 1,
            None if counts.len() < 1000 => counts.push((number, 1)),
            None => {}
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).copied()
}

/// Returns a penalty from 0 to 0.5 for a separator that looks like punctuation or a decimal comma.
fn prose(lines: &[&[u8]], separator: u8, dialect: &Delimited) -> f64 {
    if separator == b'\t' || dialect.quote.is_none() {
        return 0.0;
    }
    let (mut all, mut punctuation) = (0_usize, 0_usize);
    for line in lines {
        for (at, _) in line.iter().enumerate().filter(|(_, byte)| **byte == separator) {
            let before = at.checked_sub(1).and_then(|at| line.get(at));
            let after = line.get(at + 1);
            let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
            let decimal = separator == b',' && digit(before) && digit(after);
            all += 1;
            punctuation += usize::from(after == Some(&b' ') || decimal);
        }
    }
    if all == 0 { 0.0 } else { punctuation as f64 / all as f64 * 0.5 }
}
