//! Since when nobody has touched this machine.
//!
//! macOS: seconds since the last hardware input event, from Core Graphics. Linux: not measurable
//! yet, and said so; `user-idle` (the crate for it) needs the X libraries to build and crashes
//! without a display, and Wayland has no common way to ask.

use std::time::Duration;

/// Something that knows when input last came.
pub trait IdleSource: Send + Sync {
    /// Time since the last input; none where this machine can't tell.
    ///
    /// # Errors
    /// Where the system should be able to tell and failed.
    fn idle(&self) -> Result<Option<Duration>, IdleError>;
}

/// The system's answer made no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdleError {
    #[error("the system says that the last input was {0} s ago; training waits until it answers")]
    Nonsense(f64),
}

/// The operating system's own measure.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIdle;

impl IdleSource for SystemIdle {
    fn idle(&self) -> Result<Option<Duration>, IdleError> {
        seconds_since_input()
            .map(|seconds| {
                Duration::try_from_secs_f64(seconds).map_err(|_| IdleError::Nonsense(seconds))
            })
            .transpose()
    }
}

#[cfg(target_os = "macos")]
#[expect(clippy::unnecessary_wraps, reason = "other systems can't tell")]
fn seconds_since_input() -> Option<f64> {
    use objc2_core_graphics::{CGEventSource, CGEventSourceStateID, CGEventType};
    // CGEventTypes.h: kCGAnyInputEventType is ~0.
    let any_input = CGEventType(u32::MAX);
    Some(CGEventSource::seconds_since_last_event_type(
        CGEventSourceStateID::HIDSystemState,
        any_input,
    ))
}

#[cfg(not(target_os = "macos"))]
fn seconds_since_input() -> Option<f64> {
    None
}
