//! Starting the app when its user logs in: macOS's login items, on Linux a file that every desktop
//! reads.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

/// What starts this program at its user's login, there or not.
#[derive(Debug, Clone)]
pub struct LoginItem(system::Item);

/// Why it isn't as it should be, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotSet(String);

impl LoginItem {
    /// The one of this program and of whoever runs it.
    ///
    /// # Errors
    /// There is no home folder, or this program can't be found.
    pub fn of_user() -> Result<Self, NotSet> {
        system::Item::of_user().map(Self).map_err(NotSet)
    }

    /// Sees to it that the program starts at login, or that it doesn't. It may ask the system and
    /// wait for it.
    ///
    /// # Errors
    /// The system refuses, or wants to hear it from the user too.
    pub fn set(&self, starts: bool) -> Result<(), NotSet> {
        self.0.set(starts).map_err(NotSet)
    }
}
