//! Whether there is a display to show windows on, without touching a library that ends the process
//! where there is none.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Why no window can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDisplay {
    #[error("this session has no display: DISPLAY and WAYLAND_DISPLAY are not set")]
    NotSet,
    #[error("the display {0} does not answer")]
    Unanswered(String),
}

/// Ends well where windows can be shown. A Mac's app always has a display or is not started.
pub fn display() -> Result<(), NoDisplay> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    named(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

fn named(variable: impl Fn(&str) -> Option<String>) -> Result<(), NoDisplay> {
    if let Some(wayland) = variable("WAYLAND_DISPLAY") {
        let folder = variable("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default();
        // An absolute name replaces the folder.
        if UnixStream::connect(folder.join(&wayland)).is_ok() {
            return Ok(());
        }
    }
    let name = variable("DISPLAY").ok_or(NoDisplay::NotSet)?;
    if x11(&name) { Ok(()) } else { Err(NoDisplay::Unanswered(name)) }
}

/// `:1`, `:1.0`, `host:10`: a local one has a socket, another one a port.
fn x11(name: &str) -> bool {
    let Some((host, number)) = name.rsplit_once(':') else { return false };
    let number = number.split('.').next().unwrap_or_default();
    let Ok(number) = number.parse::<u16>() else { return false };
    if host.is_empty() || host == "unix" {
        return UnixStream::connect(format!("/tmp/.X11-unix/X{number}")).is_ok();
    }
    let Some(port) = 6000_u16.checked_add(number) else { return false };
    std::net::TcpStream::connect((host, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_that_is_not_there_is_an_answer() {
        let only = |wanted: &'static str, value: &'static str| {
            named(move |name| (name == wanted).then(|| value.to_owned()))
        };
        assert_eq!(named(|_| None), Err(NoDisplay::NotSet));
        assert_eq!(only("DISPLAY", ":65000"), Err(NoDisplay::Unanswered(":65000".into())));
        assert_eq!(only("DISPLAY", "nonsense"), Err(NoDisplay::Unanswered("nonsense".into())));
        assert_eq!(
            only("DISPLAY", "127.0.0.1:65535"),
            Err(NoDisplay::Unanswered("127.0.0.1:65535".into()))
        );
        assert_eq!(only("WAYLAND_DISPLAY", "/nowhere"), Err(NoDisplay::NotSet));
    }
}
