//! The one place of this crate that reads the clock.

use protocol::Timestamp;

/// Now, by the system's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The day of it in UTC, such as `2026-11-24`; they sort as days do.
pub(crate) fn date(at: Timestamp) -> String {
    at.to_string().chars().take("2026-11-24".len()).collect()
}
