//! API tokens: their text, creation and deletion.

use std::time::Duration;

use protocol::api::{CreatedToken, Role, TokenRequest};
use protocol::{DeviceId, Timestamp};
use uuid::Uuid;

use super::state::State;
use super::{Driver, DriverError};
use crate::access::caller::Principal;
use crate::access::credential::{Credential, CredentialKind};
use crate::clock;
use crate::store::TokenRow;

/// The text of a new token. Only its hash is stored.
#[derive(Debug)]
pub(crate) struct TokenText {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// Name of the token that commands on the coordinator's own machine use.
const THIS_MACHINE: &str = "this machine";

impl TokenText {
    /// Generates a token: a prefix that names the role, and 256 random bits from the operating system.
    pub(crate) fn generate(role: Role) -> Self {
        let role_name = match role {
            Role::Admin => "admin",
            Role::Viewer => "viewer",
            Role::Device => "device",
        };
        let secret: [u8; 32] = rand::random();
        let secret = blake3::Hash::from_bytes(secret).to_hex();
        Self {
            id: Uuid::now_v7().to_string(),
            token: format!("constellation-{role_name}-{secret}"),
        }
    }

    pub(crate) fn row(
        &self,
        role: Role,
        name: String,
        device: Option<DeviceId>,
        created_at: Timestamp,
    ) -> TokenRow {
        let hash = *blake3::hash(self.token.as_bytes()).as_bytes();
        let id = self.id.clone();
        TokenRow { id, hash, role, name, device, created_at, expires_at: None, last_used: None }
    }
}

/// Finds the valid admin token with this text, for this machine's own commands.
pub(crate) fn this_machine<'a>(rows: &'a [TokenRow], text: &str) -> Option<&'a TokenRow> {
    let hash = blake3::hash(text.trim().as_bytes());
    rows.iter().find(|row| row.role == Role::Admin && row.hash == *hash.as_bytes())
}

/// Generates a new token for this machine's own commands. Also returns the ids of the tokens that it
/// replaces.
pub(crate) fn renew_this_machine(
    rows: &[TokenRow],
    now: Timestamp,
) -> (TokenText, TokenRow, Vec<String>) {
    let text = TokenText::generate(Role::Admin);
    let row = text.row(Role::Admin, THIS_MACHINE.to_owned(), None, now);
    let earlier = rows.iter().filter(|row| row.role == Role::Admin && row.name == THIS_MACHINE);
    let replaced = earlier.map(|row| row.id.clone()).collect();
    (text, row, replaced)
}

impl State {
    /// Returns the credential that requests are checked against. A token without a name is called by its
    /// id.
    pub(super) fn credential(&self, token: &TokenRow) -> Credential {
        let device = token.device.and_then(|device| self.devices.get(&device));
        let name = match device {
            Some(device) => device.name.as_str().into(),
            None if token.name.is_empty() => format!("token {}", token.id).into(),
            None => token.name.as_str().into(),
        };
        let principal = Principal { role: token.role, device: token.device, name };
        let (kind, id) = (CredentialKind::Token, token.id.clone());
        Credential::new(kind, id, principal, token.expires_at, token.last_used)
    }
}

impl Driver {
    pub(super) fn create_token(&mut self, request: TokenRequest) -> CreatedToken {
        let lifetime = request.expires_in.map(Duration::from_secs);
        let expires_at = lifetime.map(|lifetime| clock::now().after(lifetime));
        let TokenText { id, token } = self.new_token(request.role, request.name, None, expires_at);
        CreatedToken { id, token }
    }

    /// Deletes a token of a person or program. A device's token is deleted with the device, by
    /// [`Driver::revoke`].
    pub(super) fn delete_token(&mut self, id: &String) -> Result<TokenRow, DriverError> {
        let row = self.state.tokens.get(id).filter(|row| row.role != Role::Device);
        let Some(row) = row.cloned() else { return Err(DriverError::UnknownToken(id.clone())) };
        let now = clock::now();
        let is_admin =
            |row: &TokenRow| row.role == Role::Admin && row.expires_at.is_none_or(|end| now < end);
        // The last admin token that never expires can't be deleted.
        let permanent = |other: &&TokenRow| is_admin(other) && other.expires_at.is_none();
        let others = self.state.tokens.values().filter(permanent).filter(|other| other.id != *id);
        if is_admin(&row) && others.count() == 0 {
            return Err(DriverError::LastAdmin);
        }
        self.drop_token(id);
        Ok(row)
    }
}
