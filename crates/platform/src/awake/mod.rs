//! Sleep inhibitor: prevents idle sleep of the machine. The display may still sleep, and closing the lid or
//! choosing Sleep still works.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

/// Guard that prevents idle sleep while it exists. The system also releases it when this process ends or
/// is killed.
#[derive(Debug)]
#[must_use = "dropped, it lets the machine sleep"]
pub struct Awake(#[expect(dead_code, reason = "held for its drop")] system::Hold);

/// Why the machine can't be kept awake, as a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotHeld(String);

/// Keeps the machine awake. The system lists `why` as the reason. May take seconds.
///
/// # Errors
/// The system has no sleep inhibitors, or refuses.
pub fn hold(why: &str) -> Result<Awake, NotHeld> {
    system::hold(why).map(Awake).map_err(NotHeld)
}
