//! Confirmation of a command that deletes something.

use std::io::{BufRead, IsTerminal};

use anyhow::bail;

use crate::output;

/// Asks on a terminal whether to go on. `consequence` says what the command deletes and what stays.
///
/// # Errors
/// If the answer is not yes, or if there is no terminal and no `yes`.
pub(super) fn confirm(yes: bool, consequence: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("{consequence} Confirm with --yes");
    }
    output::note(format_args!("{consequence} Type yes to continue:"));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if !answer.trim().eq_ignore_ascii_case("yes") {
        bail!("canceled; nothing was changed");
    }
    Ok(())
}
