//! Parses durations such as `2w`, `30d`, `12h`, `45m` and `90s`.

use std::time::Duration;

/// Error of a text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a duration: use a whole number and a unit, such as 30d, 12h, 45m or 90s")]
pub(crate) struct InvalidDuration(String);

/// Parses a whole number followed by a unit: `w`, `d`, `h`, `m` or `s`.
///
/// # Errors
/// Fails for other texts and for numbers of seconds that don't fit in 64 bits.
pub(crate) fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds: u64 = match unit {
        'w' => 604_800,
        'd' => 86_400,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return Err(invalid()),
    };
    let number = text.trim_end_matches(unit);
    let is_number = number.len() + 1 == text.len() && number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_number);
    let span = number.and_then(|number| number.checked_mul(seconds));
    span.map(Duration::from_secs).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds) in
            [("2w", 1_209_600), ("30d", 2_592_000), ("12h", 43_200), ("45m", 2700), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "d", "30", "1.5h", "-1d", "+1d", "1y", "1dd", "99999999999999999999d", "1 d"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains("such as 30d"), "{error}");
        }
    }
}
