//! Display check: determines whether windows can be shown. Doesn't use the window library, because
//! that library exits the process if there is no display.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Reason why no window can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDisplay {
    #[error("this session has no display: DISPLAY and WAYLAND_DISPLAY are not set")]
    NotSet,
    #[error("the display {0} does not respond")]
    NotResponding(String),
}

/// Checks that windows can be shown. Always succeeds on macOS, where apps start only in
/// sessions with a display.
///
/// # Errors
/// Fails if there is no display, or if it does not respond.
pub fn check() -> Result<(), NoDisplay> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    check_variables(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

fn check_variables(variable: impl Fn(&str) -> Option<String>) -> Result<(), NoDisplay> {
    if let Some(wayland) = variable("WAYLAND_DISPLAY") {
        let folder = variable("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default();
        // If the name is an absolute path, `join` returns only the name.
        if UnixStream::connect(folder.join(&wayland)).is_ok() {
            return Ok(());
        }
    }
    let name = variable("DISPLAY").ok_or(NoDisplay::NotSet)?;
    if x11(&name) { Ok(()) } else { Err(NoDisplay::NotResponding(name)) }
}

/// Returns whether an X11 display such as `:1`, `:1.0` or `host:10` accepts connections: a local
/// display at a Unix socket, a remote display at a TCP port.
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
    fn a_missing_display_is_an_error() {
        let only = |wanted: &'static str, value: &'static str| {
            check_variables(move |name| (name == wanted).then(|| value.to_owned()))
        };
        assert_eq!(check_variables(|_| None), Err(NoDisplay::NotSet));
        assert_eq!(only("DISPLAY", ":65000"), Err(NoDisplay::NotResponding(":65000".into())));
        assert_eq!(only("DISPLAY", "nonsense"), Err(NoDisplay::NotResponding("nonsense".into())));
        assert_eq!(
            only("DISPLAY", "127.0.0.1:65535"),
            Err(NoDisplay::NotResponding("127.0.0.1:65535".into()))
        );
        assert_eq!(only("WAYLAND_DISPLAY", "/nowhere"), Err(NoDisplay::NotSet));
    }
}
