//! Lines between the idle helper and its parent. The helper prints one reading a line, in nanoseconds, or
//! `error REASON`. The parent writes `fast` or `slow`.

use std::fmt;
use std::time::Duration;

use crate::sensors::PollRate;

/// Maximum length of a line in bytes.
pub(super) const MAXIMUM_LINE: usize = 256;

/// A line of the helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HelperLine {
    Idle(Duration),
    /// The helper can't read the idle time, and ends.
    Failed(String),
}

impl HelperLine {
    /// Parses a line without its ending. `None` if it is neither a reading nor an error.
    pub(super) fn parse(line: &str) -> Option<Self> {
        if let Some(reason) = line.strip_prefix("error ") {
            return Some(Self::Failed(reason.to_owned()));
        }
        // `parse` alone would accept a sign.
        let is_number = line.bytes().all(|byte| byte.is_ascii_digit());
        let nanoseconds = line.parse().ok().filter(|_| is_number)?;
        Some(Self::Idle(Duration::from_nanos(nanoseconds)))
    }
}

impl fmt::Display for HelperLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(idle) => write!(f, "{}", idle.as_nanos()),
            Self::Failed(reason) => {
                let one_line = reason.replace(['\n', '\r'], " ");
                // The prefix and at most 4 bytes a character stay below `MAXIMUM_LINE`.
                write!(f, "error {}", one_line.chars().take(60).collect::<String>())
            }
        }
    }
}

/// Returns the line that announces a rate.
pub(super) const fn rate_line(rate: PollRate) -> &'static str {
    match rate {
        PollRate::Fast => "fast\n",
        PollRate::Slow => "slow\n",
    }
}

/// Parses the line of a rate, without its ending.
pub(super) fn parse_rate(line: &str) -> Option<PollRate> {
    match line {
        "fast" => Some(PollRate::Fast),
        "slow" => Some(PollRate::Slow),
        _ => None,
    }
}

/// A line is longer than [`MAXIMUM_LINE`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Bytes of a line whose end has not arrived.
#[derive(Debug, Default)]
pub(super) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Adds bytes. Returns the lines that are now complete, without their endings.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                lines.push(String::from_utf8_lossy(&self.0).into_owned());
                self.0.clear();
            } else if self.0.len() < MAXIMUM_LINE {
                self.0.push(*byte);
            } else {
                return Err(TooLong);
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_the_helper_prints_is_parsed_back(nanoseconds: u64) {
            let line = HelperLine::Idle(Duration::from_nanos(nanoseconds));
            prop_assert_eq!(HelperLine::parse(&line.to_string()), Some(line));
        }

        #[test]
        fn an_error_is_one_short_line(reason: String) {
            let text = HelperLine::Failed(reason).to_string();
            prop_assert!(text.len() <= MAXIMUM_LINE && !text.contains('\n'));
            prop_assert!(matches!(HelperLine::parse(&text), Some(HelperLine::Failed(_))));
        }

        #[test]
        fn lines_do_not_depend_on_how_bytes_arrive(
            lines in prop::collection::vec("[a-z0-9 ]{0,40}", 0..8), piece in 1_usize..9,
        ) {
            let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
            let mut buffer = LineBuffer::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(piece) {
                found.extend(buffer.push(piece).unwrap());
            }
            prop_assert_eq!(found, lines);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "-1", "+1", "1.5", "1 ", "0x1", "18446744073709551616", "errors"] {
            assert_eq!(HelperLine::parse(line), None, "{line:?}");
        }
        for rate in [PollRate::Fast, PollRate::Slow] {
            assert_eq!(parse_rate(rate_line(rate).trim_end()), Some(rate));
        }
        assert_eq!(parse_rate("faster"), None);
        let mut buffer = LineBuffer::default();
        assert_eq!(buffer.push(&[b'x'; MAXIMUM_LINE]), Ok(vec![]));
        assert_eq!(buffer.push(b"x"), Err(TooLong));
    }
}
