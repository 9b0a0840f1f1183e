//! Sign-in links in memory, and the credential of a session.

use federation::table::Table;
use protocol::Timestamp;
use protocol::api::Role;

use crate::access::caller::Principal;
use crate::access::credential::{Credential, CredentialKind};
use crate::store::SessionRow;

/// Unused links, by the BLAKE3 of their codes. They are not stored, so a restart ends them.
pub(super) type Links = Table<[u8; 32], Link>;

#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) expires_at: Timestamp,
}

/// Returns who a session speaks for.
pub(super) fn principal(row: &SessionRow) -> Principal {
    Principal { role: row.role, device: None, name: row.name.as_str().into() }
}

/// Returns the credential that requests are checked against.
pub(super) fn credential(row: &SessionRow) -> Credential {
    let kind = CredentialKind::Session;
    Credential::new(kind, row.id.clone(), principal(row), None, Some(row.last_used))
}
