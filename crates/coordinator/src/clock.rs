//! The one place of this crate that reads the clock.

use protocol::Timestamp;

/// Now, by the system's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}
