//! Holding off the sleep that a machine falls into when nobody uses it. The display may sleep, a lid
//! that is closed still closes, and whoever asks for sleep gets it.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

/// While this lives the machine doesn't fall asleep by itself; the system lets go of it too when this
/// process ends, however it does.
#[derive(Debug)]
#[must_use = "dropped, it lets the machine sleep"]
pub struct Awake(#[expect(dead_code, reason = "held for its drop")] system::Hold);

/// Why the machine can't be kept awake, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotHeld(String);

/// Keeps the machine awake; the system shows `why` to who asks it what does. It may take seconds.
///
/// # Errors
/// The system has no such thing, or refuses.
pub fn hold(why: &str) -> Result<Awake, NotHeld> {
    system::hold(why).map(Awake).map_err(NotHeld)
}
