//! Parsers of values on the command line. Each error states what is allowed, with an example.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Parser of a whole number in a range. `what` names the number in the error.
///
/// ```
/// let parse = node::value_parsers::whole_number(2..=86_400_u64, "a whole number of seconds", 60);
/// assert_eq!(parse("30"), Ok(30));
/// assert_eq!(
///     parse("1x").unwrap_err(),
///     "expected a whole number of seconds from 2 to 86400, such as 60"
/// );
/// ```
pub fn whole_number<T>(
    range: RangeInclusive<T>,
    what: &'static str,
    example: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Bounded + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            if *to == T::LARGEST {
                format!("expected {what}, {from} or more, such as {example}")
            } else {
                format!("expected {what} from {from} to {to}, such as {example}")
            }
        })
    }
}

/// Integer with a largest value.
pub trait Bounded: PartialEq {
    const LARGEST: Self;
}

impl Bounded for u8 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for u16 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for u32 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for u64 {
    const LARGEST: Self = Self::MAX;
}

/// Parses a version of a model.
pub fn model_version(text: &str) -> Result<u32, String> {
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected the number of a version, such as 2".to_owned())
}

/// Parses a number of days, 0 or more.
pub fn days(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|days: &f64| days.is_finite() && *days >= 0.0);
    number.ok_or_else(|| "expected a number of days, 0 or more, such as 30 or 0.5".to_owned())
}

/// Parses a number above 0, in megabits per second.
pub fn megabits(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    number.ok_or_else(|| {
        "expected a number above 0, in megabits per second, such as 20 or 0.5".to_owned()
    })
}

/// Parses an address to listen on.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:8000 for this machine only, or \
         0.0.0.0:8000 for the network"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_states_what_is_allowed_with_an_example() {
        let workers = whole_number(1..=32_u8, "a whole number of workers", 3);
        assert_eq!((workers("1"), workers(" 32 ")), (Ok(1), Ok(32)));
        let rows = whole_number(1..=u32::MAX, "a whole number of rows", 1000);
        assert_eq!(rows("4294967295"), Ok(u32::MAX));
        let errors = [
            workers("0").unwrap_err(),
            workers("1x").unwrap_err(),
            rows("").unwrap_err(),
            model_version("first").unwrap_err(),
            days("-1").unwrap_err(),
            megabits("NaN").unwrap_err(),
            listen_address("localhost:8000").unwrap_err(),
        ];
        insta::assert_snapshot!(errors.join("\n"), @"
        expected a whole number of workers from 1 to 32, such as 3
        expected a whole number of workers from 1 to 32, such as 3
        expected a whole number of rows, 1 or more, such as 1000
        expected the number of a version, such as 2
        expected a number of days, 0 or more, such as 30 or 0.5
        expected a number above 0, in megabits per second, such as 20 or 0.5
        expected an IP address and a port, such as 127.0.0.1:8000 for this machine only, or 0.0.0.0:8000 for the network
        ");
    }
}
