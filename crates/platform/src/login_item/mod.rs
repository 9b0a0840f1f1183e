//! Start at login: a login item on macOS, an autostart entry on Linux.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

/// Login item of this program, whether it exists or not.
#[derive(Debug, Clone)]
pub struct LoginItem(system::Item);

/// Why the login item can't be set, as a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotSet(String);

impl LoginItem {
    /// Returns the login item of this program for the current user.
    ///
    /// # Errors
    /// There is no home folder, or this program can't be found.
    pub fn current_user() -> Result<Self, NotSet> {
        system::Item::current_user().map(Self).map_err(NotSet)
    }

    /// Enables or disables the start at login. May block while the system answers.
    ///
    /// # Errors
    /// The system refuses, or the user has to allow it first.
    pub fn set(&self, starts: bool) -> Result<(), NotSet> {
        self.0.set(starts).map_err(NotSet)
    }
}
