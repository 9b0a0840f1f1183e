//! Parses durations such as `2w`, `30d`, `12h`, `45m`, `90s` and `1h 30m`.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// Error of a text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a duration: use a number and a unit, such as 4w, 30d, 12h, 45m or 90s")]
pub struct InvalidDuration(String);

/// Parses a whole number followed by a unit: `w`, `d`, `h`, `m` or `s`. A day has 24 hours. Also parses the other forms
/// that jiff knows, such as `1h 30m` and `PT90M`.
///
/// # Errors
/// Fails for other texts, for negative durations, and for numbers of seconds that don't fit in 64 bits.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let plain = text.trim();
    one_unit(plain).or_else(|| several_units(plain)).ok_or_else(|| InvalidDuration(text.to_owned()))
}

fn one_unit(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        'w' => 604_800,
        'd' => 86_400,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].trim_end().parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn several_units(text: &str) -> Option<Duration> {
    // A `Span` knows days and weeks, but no numbers as large as a `SignedDuration`.
    let signed = text
        .parse::<SignedDuration>()
        .or_else(|_| text.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours()));
    signed.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds) in [
            ("2w", 1_209_600),
            ("30d", 2_592_000),
            ("12h", 43_200),
            ("45m", 2700),
            ("0s", 0),
            ("+7d", 604_800),
            (" 7 d", 604_800),
            ("18446744073709551615s", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn several_units_and_fractions() {
        for (text, seconds) in [
            ("1h 30m", 5400),
            ("1h30m", 5400),
            ("1.5h", 5400),
            ("90 minutes", 5400),
            ("PT1H30M", 5400),
            ("01:30:00", 5400),
            ("1d 12h", 129_600),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("300ms"), Ok(Duration::from_millis(300)));
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in
            ["", "d", "30", "-1d", "-1h", "1y", "1mo", "1dd", "5é", "99999999999999999999d", "soon"]
        {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains("such as 4w"), "{error}");
        }
    }
}
