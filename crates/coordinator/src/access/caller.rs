//! The caller of a change: identity and address, for the audit log.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use protocol::api::Role;
use protocol::audit::{Action, COORDINATOR, Record, Subject, SubjectKind};
use protocol::{DeviceId, Timestamp};

/// Authenticated identity. A caller in this process sets [`Principal::local_admin`] in the request's
/// extensions; from outside, only a valid token or session gives one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub(crate) role: Role,
    pub(crate) device: Option<DeviceId>,
    /// Display name: the token's or device's name, or `this machine`.
    pub(crate) name: Arc<str>,
}

impl Principal {
    /// Returns the identity of the app's own user, in the coordinator's process.
    pub fn local_admin() -> Self {
        Self { role: Role::Admin, device: None, name: "local admin".into() }
    }
}

/// Remote address of a connection, set as an extension of every request over it. Requests from within
/// this process have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

impl From<SocketAddr> for PeerAddress {
    /// Maps an IPv4 peer of a dual-stack socket to its IPv4 address.
    fn from(address: SocketAddr) -> Self {
        Self(address.ip().to_canonical())
    }
}

/// Identity of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallerIdentity {
    Known(Principal),
    /// A caller of a public path, without a credential.
    Stranger,
    /// The coordinator itself.
    Coordinator,
}

/// Caller of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) who: CallerIdentity,
    /// Remote address; `None` within this process.
    pub(crate) from: Option<IpAddr>,
}

/// Further details of a change in the audit log. Contains no secrets.
pub(crate) type Detail = BTreeMap<String, String>;

/// Makes a [`Detail`] of names and values.
pub(crate) fn detail<const N: usize>(pairs: [(&str, String); N]) -> Detail {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Caller {
    /// Returns the caller for changes that the coordinator makes by itself.
    pub(crate) const fn coordinator() -> Self {
        Self { who: CallerIdentity::Coordinator, from: None }
    }

    /// Returns the caller's name in the audit log; empty for an unauthenticated caller.
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

    /// Makes the audit record of an action of this caller.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass ids of any type, by value or reference"
    )]
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
