//! Points in time, always passed in as arguments. RFC 3339 in JSON, milliseconds in memory.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns this time plus `duration`, at most the last time that RFC 3339 can represent.
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let last = jiff::Timestamp::MAX.as_millisecond();
        Self(self.0.saturating_add(millis).min(last.max(self.0)))
    }

    /// Returns this time minus `duration`.
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// Returns this time moved by `millis`, which may be negative.
    pub const fn moved(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the time since `earlier`, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Built from seconds to cover the whole range: jiff's milliseconds end one second earlier
        // than it can parse.
        let (second, rest) = (self.0.div_euclid(1000), self.0.rem_euclid(1000) * 1_000_000);
        match jiff::Timestamp::new(second, i32::try_from(rest).unwrap_or_default()) {
            Ok(point) => point.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let point: jiff::Timestamp = text.parse().map_err(|_| {
            de::Error::custom(format!("'{text}' is not an RFC 3339 time like 2026-11-23T09:00:00Z"))
        })?;
        Ok(Self(point.as_millisecond()))
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by `make api-test`: a token with a huge lifetime expired at "9223372036854775807 ms".
    /// A round's deadline had the same value, which no device could parse.
    #[test]
    fn a_time_after_a_huge_duration_can_be_written_and_parsed() {
        let end = Timestamp::from_millis(1_763_888_400_123).after(Duration::from_secs(1 << 62));
        let json = serde_json::to_string(&end).unwrap();
        assert_eq!(json, "\"9999-12-30T22:00:00.999Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), end);
        assert_eq!(end.after(Duration::from_secs(1)), end);
    }

    #[test]
    fn the_earliest_time_can_be_written_and_parsed() {
        let first = jiff::Timestamp::MIN.as_millisecond();
        for millis in [first, -1, -1001] {
            let json = serde_json::to_string(&Timestamp::from_millis(millis)).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap().as_millis(), millis);
        }
    }

    #[test]
    fn json_is_rfc_3339_and_keeps_milliseconds() {
        let at = Timestamp::from_millis(1_763_888_400_123);
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(json, "\"2025-11-23T09:00:00.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }
}
