//! Opens an address in the person's browser.

use std::io;
use std::process::{Command, Stdio};

/// Whether there is a desktop on which a browser can show itself.
pub fn can_open() -> bool {
    crate::display::check().is_ok()
}

/// Opens `url` in the default browser, without waiting for it.
///
/// # Errors
/// The system's program for it is missing.
pub fn open(url: &str) -> io::Result<()> {
    let program = if cfg!(target_os = "macos") { "/usr/bin/open" } else { "xdg-open" };
    let mut child = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Reaps the child; it ends as soon as the browser has the address.
    std::thread::spawn(move || drop(child.wait()));
    Ok(())
}
