//! Who asks for a change and from where, so that it can be written down with the change.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use protocol::api::Role;
use protocol::audit::{Action, COORDINATOR, Record, Subject, SubjectKind};
use protocol::{DeviceId, Timestamp};

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
pub(crate) enum CallerIdentity {
    Known(Principal),
    /// Somebody at a public path.
    Stranger,
    /// The coordinator by itself.
    Coordinator,
}

/// Who asks, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) who: CallerIdentity,
    /// None inside this process.
    pub(crate) from: Option<IpAddr>,
}

/// What else the audit log says of a change: names and values, none of them secret.
pub(crate) type Detail = BTreeMap<String, String>;

/// The detail of these names and values.
pub(crate) fn detail<const N: usize>(pairs: [(&str, String); N]) -> Detail {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Caller {
    /// For what the coordinator does by itself.
    pub(crate) const fn coordinator() -> Self {
        Self { who: CallerIdentity::Coordinator, from: None }
    }

    /// As the audit log calls it; empty for a stranger.
    pub(crate) fn name(&self) -> String {
        match &self.who {
            CallerIdentity::Known(principal) => principal.name.to_string(),
            CallerIdentity::Stranger => String::new(),
            CallerIdentity::Coordinator => COORDINATOR.to_owned(),
        }
    }

    fn role(&self) -> Option<Role> {
        match &self.who {
            CallerIdentity::Known(principal) => Some(principal.role),
            CallerIdentity::Stranger | CallerIdentity::Coordinator => None,
        }
    }

    /// What the audit log says of what this caller did.
    #[expect(clippy::needless_pass_by_value, reason = "callers name the id as they have it")]
    pub(crate) fn record(
        &self,
        at: Timestamp,
        action: Action,
        kind: SubjectKind,
        id: impl ToString,
        detail: Detail,
    ) -> Record {
        let (who, role) = (self.name(), self.role());
        let (from, id) = (self.from.map(|address| address.to_string()), id.to_string());
        Record { at, who, role, from, action, subject: Subject { kind, id }, detail }
    }
}
