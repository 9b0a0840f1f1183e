//! What tests of the command line share.

use std::path::Path;
use std::process::Command;

/// The command, in `folder`, with nothing of this machine's own settings or clusters.
pub(crate) fn constellation(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_constellation"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("CONSTELLATION_COORDINATOR")
        .env_remove("CONSTELLATION_TOKEN");
    command
}
