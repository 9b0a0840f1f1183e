//! Standard folders of the operating system.

use std::path::PathBuf;

use etcetera::BaseStrategy;

/// macOS names folders after the bundle, Linux after the program.
#[cfg(target_os = "macos")]
const OWN: &str = "com.constellation.app";
#[cfg(not(target_os = "macos"))]
const OWN: &str = "constellation";

/// Error: this account has no home folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this account has no home folder: set HOME, or give --data-dir")]
pub struct NoHome;

/// Returns the folder for data that must be kept: `~/Library/Application Support/…` on macOS, `$XDG_DATA_HOME/…` on Linux.
pub fn data() -> Result<PathBuf, NoHome> {
    Ok(strategy()?.data_dir().join(OWN))
}

/// Returns the folder for files that can be recreated: `~/Library/Caches/…` on macOS, `$XDG_CACHE_HOME/…` on Linux.
pub fn cache() -> Result<PathBuf, NoHome> {
    Ok(strategy()?.cache_dir().join(OWN))
}

/// Returns the folder of the user's settings: `~/Library/Preferences/…` on macOS, `$XDG_CONFIG_HOME/…` on Linux.
pub fn settings() -> Result<PathBuf, NoHome> {
    Ok(strategy()?.config_dir().join(OWN))
}

/// Returns the folder of the app's log: `~/Library/Logs/…` on macOS, `$XDG_STATE_HOME/…/log` on Linux.
pub fn logs() -> Result<PathBuf, NoHome> {
    let strategy = strategy()?;
    if cfg!(target_os = "macos") {
        return Ok(strategy.home_dir().join("Library/Logs").join(OWN));
    }
    let state = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
    Ok(state.join(OWN).join("log"))
}

/// Entries of what starts with the user's session: `$XDG_CONFIG_HOME/autostart`.
#[cfg(target_os = "linux")]
pub(crate) fn autostart() -> Result<PathBuf, NoHome> {
    Ok(strategy()?.config_dir().join("autostart"))
}

fn strategy() -> Result<impl BaseStrategy, NoHome> {
    etcetera::base_strategy::choose_native_strategy().map_err(|_| NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_are_specific_to_the_app_and_differ() {
        let (data, cache) = (data().unwrap(), cache().unwrap());
        assert!(data.ends_with(OWN) && cache.ends_with(OWN));
        assert_ne!(data, cache);
    }
}
