//! The only place in this crate that reads the system clock.

use std::time::SystemTime;

use protocol::Timestamp;

/// Returns the current time of the system clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// Returns the current time of the system clock, to compare it with the times of files.
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Returns the UTC date, such as `2026-11-24`. Dates sort as text.
pub(crate) fn date(at: Timestamp) -> String {
    at.to_string().chars().take("2026-11-24".len()).collect()
}
