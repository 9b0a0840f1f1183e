//! What system this is, and whether it asks people before a program may use the local network.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use sysinfo::System;

/// The group and port of multicast DNS (RFC 6762, section 3).
const MULTICAST_DNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// A DNS header without questions, answers or records: nobody has anything to say to it.
const NOTHING_ASKED: [u8; 12] = [0; 12];
/// The first macOS that asks (Apple's technical note 3179).
const FIRST_MACOS_THAT_ASKS: u32 = 15;

/// The operating system's own words; empty where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemFacts {
    pub name: String,
    pub version: String,
    pub kernel: String,
    /// Of the program: `aarch64`, `x86_64`.
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

    /// Whether a person decides here which programs may use the local network.
    pub fn asks_for_local_network(&self) -> bool {
        cfg!(target_os = "macos") && is_at_least(&self.version, FIRST_MACOS_THAT_ASKS)
    }
}

/// When this machine was started, since 1970, to about a second.
pub fn started() -> Duration {
    Duration::from_secs(System::boot_time())
}

/// A version that can't be read counts as new: the question is then mentioned rather than forgotten.
fn is_at_least(version: &str, major: u32) -> bool {
    let found = version.split('.').next().and_then(|text| text.parse::<u32>().ok());
    found.is_none_or(|found| found >= major)
}

/// Sends one empty packet to the group of multicast DNS.
///
/// # Errors
/// What the system says; `HostUnreachable` is what macOS says to a program that may not use the local network
/// (and any system to one without a network).
pub fn try_local_network() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Not beyond this network, and not to ourselves.
    socket.set_multicast_ttl_v4(1)?;
    socket.send_to(&NOTHING_ASKED, MULTICAST_DNS).map(drop)
}

/// Whether the system keeps this program from the local network because a person said so, or didn't yet
/// say otherwise; false where that can't be told from a network that isn't there.
pub fn refuses_local_network() -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::HostUnreachable;
    SystemFacts::read().asks_for_local_network() && try_local_network().is_err_and(|e| refused(&e))
}

/// Shows a page of the web in the browser that the person at the machine uses.
///
/// # Errors
/// Where there is none, or it won't.
pub fn open_page(url: &str) -> io::Result<()> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let status = Command::new(opener).arg(url).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{opener}: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_has_a_name_and_only_a_recent_mac_asks() {
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
