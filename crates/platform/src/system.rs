//! Facts about the operating system, and macOS's permission for the local network.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use sysinfo::System;

/// The group and port of multicast DNS (RFC 6762, section 3).
const MULTICAST_DNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// A DNS header without questions, answers or records, which nobody answers.
const EMPTY_QUERY: [u8; 12] = [0; 12];
/// First macOS that asks for permission to use the local network (Apple's technical note TN3179).
const FIRST_MACOS_THAT_ASKS: u32 = 15;

/// Name and version of the operating system; empty strings if it does not report them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFacts {
    pub name: String,
    pub version: String,
    pub kernel: String,
    /// Architecture of this program: `aarch64` or `x86_64`.
    pub architecture: &'static str,
}

impl SystemFacts {
    pub fn read() -> Self {
        Self {
            name: System::name().unwrap_or_default(),
            version: System::os_version().unwrap_or_default(),
            kernel: System::kernel_version().unwrap_or_default(),
            architecture: std::env::consts::ARCH,
        }
    }

    /// Whether this system asks for permission before a program may use the local network.
    pub fn asks_for_local_network(&self) -> bool {
        cfg!(target_os = "macos") && is_at_least(&self.version, FIRST_MACOS_THAT_ASKS)
    }
}

/// Returns when this machine was booted, since 1970, with a precision of about a second.
pub fn boot_time() -> Duration {
    Duration::from_secs(System::boot_time())
}

/// An unreadable version counts as new, so that the permission is mentioned rather than missed.
fn is_at_least(version: &str, major: u32) -> bool {
    let found = version.split('.').next().and_then(|text| text.parse::<u32>().ok());
    found.is_none_or(|found| found >= major)
}

/// Sends one empty packet to the multicast DNS group.
///
/// # Errors
/// The system's error. macOS reports `HostUnreachable` to a program without permission for the local
/// network, as every system does without a network.
pub fn try_local_network() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Not beyond this network.
    socket.set_multicast_ttl_v4(1)?;
    socket.send_to(&EMPTY_QUERY, MULTICAST_DNS).map(drop)
}

/// Whether the system denies this program the local network, because the permission was refused or not
/// given yet. Returns `false` on systems where this looks the same as a missing network.
pub fn refuses_local_network() -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::HostUnreachable;
    SystemFacts::read().asks_for_local_network() && try_local_network().is_err_and(|e| refused(&e))
}

/// Opens a web page in the user's browser.
///
/// # Errors
/// There is no browser, or it can't be started.
pub fn open_page(url: &str) -> io::Result<()> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let status = Command::new(opener).arg(url).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{opener}: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recent_macos_asks_for_the_local_network() {
        let facts = SystemFacts::read();
        assert!(!facts.architecture.is_empty());
        assert!(cfg!(target_os = "macos") || !facts.asks_for_local_network());
        for (version, asks) in
            [("13.6", false), ("14.7.1", false), ("15.0", true), ("26.2", true), ("", true)]
        {
            assert_eq!(is_at_least(version, FIRST_MACOS_THAT_ASKS), asks, "{version}");
        }
    }
}
