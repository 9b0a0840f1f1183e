//! Who asks for a change and from where, so that it can be written down with the change.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use protocol::DeviceId;
use protocol::api::Role;

/// Somebody with a credential that counts. A caller in this process puts
/// [`Principal::local_admin`] into the request's extensions; from outside only a token or a session
/// gives one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub(crate) role: Role,
    pub(crate) device: Option<DeviceId>,
    /// What the credential is called: the token's name, the device's, `this machine`.
    pub(crate) name: Arc<str>,
}

impl Principal {
    /// The person at the coordinator's own machine, inside its own process.
    pub fn local_admin() -> Self {
        Self { role: Role::Admin, device: None, name: "local admin".into() }
    }
}

/// Where a connection comes from: an extension of every request that came over one. A request
/// without it is this process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

impl From<SocketAddr> for PeerAddress {
    /// One peer has one address: a socket for both families shows an IPv4 peer as IPv6.
    fn from(address: SocketAddr) -> Self {
        Self(address.ip().to_canonical())
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Known(Principal),
    /// Somebody at a public path.
    Stranger,
}

/// Who asks, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    /// None inside this process.
    pub(crate) from: Option<IpAddr>,
}
