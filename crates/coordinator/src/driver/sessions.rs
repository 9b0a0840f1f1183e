//! Sign-in: one-time links and the sessions they start.

use std::net::IpAddr;
use std::time::Duration;

use protocol::Timestamp;
use protocol::api::Role;
use protocol::audit::{Action, SubjectKind};
use protocol::session::{SignInLink, SignInLinkRequest};
use uuid::Uuid;

use super::audited::Audited;
use super::sign_in_links::{Link, principal};
use super::writer::DriverResult;
use super::{Driver, DriverError, DriverHandle};
use crate::access::caller::{CallerIdentity, detail};
use crate::access::credential::{Carrier, CredentialKind, SESSION_IDLE};
use crate::clock;
use crate::store::SessionRow;

/// Lifetime of a sign-in link.
const LINK_LASTS: Duration = Duration::from_mins(5);
/// Session name for a link without a name.
const BROWSER: &str = "browser";

/// Session that just started.
#[derive(Debug)]
pub(crate) struct SignedIn {
    /// Secret for the browser. Only its hash is stored.
    pub(crate) secret: String,
    pub(crate) role: Role,
    pub(crate) name: String,
}

impl Audited<'_> {
    /// Creates a link that signs in one person, once.
    pub(crate) async fn create_sign_in_link(
        &self,
        asked: SignInLinkRequest,
    ) -> DriverResult<SignInLink> {
        self.write(move |driver, caller| {
            let name = if asked.name.is_empty() { BROWSER.to_owned() } else { asked.name };
            let detail = detail([("name", name.clone()), ("role", asked.role.word().to_owned())]);
            let link = driver.create_link(asked.role, name);
            driver.record(caller, Action::Created, SubjectKind::SignInLink, "", detail);
            Ok(link)
        })
        .await
    }

    /// Starts a session with a link's code, which is then used up.
    pub(crate) async fn sign_in(&self, code: String, carrier: Carrier) -> DriverResult<SignedIn> {
        self.write(move |driver, caller| {
            let (row, secret) = driver.sign_in(&code, carrier, caller.from)?;
            let mut caller = caller.clone();
            caller.who = CallerIdentity::Known(principal(&row));
            let (id, role) = (row.id.clone(), row.role);
            let detail = detail([("role", role.word().to_owned())]);
            driver.record(&caller, Action::Created, SubjectKind::Session, id, detail);
            Ok(SignedIn { secret, role, name: row.name })
        })
        .await
    }

    pub(crate) async fn end_session(&self, id: String) -> DriverResult<()> {
        self.write(move |driver, caller| {
            let row = driver.end_session(&id).ok_or(DriverError::UnknownSession)?;
            let detail = detail([("name", row.name)]);
            driver.record(caller, Action::Removed, SubjectKind::Session, id, detail);
            Ok(())
        })
        .await
    }

    /// Ends all sessions. Returns their number.
    pub(crate) async fn end_sessions(&self) -> DriverResult<u64> {
        self.write(move |driver, caller| {
            let ids: Vec<String> = driver.state.sessions.keys().cloned().collect();
            for id in &ids {
                let Some(row) = driver.end_session(id) else { continue };
                let detail = detail([("name", row.name)]);
                driver.record(caller, Action::Removed, SubjectKind::Session, id, detail);
            }
            Ok(ids.len() as u64)
        })
        .await
    }

    /// Records an invalid credential, after `unwritten` others that were not recorded.
    pub(crate) async fn refused(&self, what: &'static str, unwritten: u64) -> DriverResult<()> {
        self.write(move |driver, caller| {
            let detail = detail([("unwritten", unwritten.to_string())]);
            driver.record(caller, Action::Refused, SubjectKind::Credential, what, detail);
            Ok(())
        })
        .await
    }
}

impl DriverHandle {
    /// Records the use of a credential. A crash may lose it.
    pub(crate) fn used(&self, kind: CredentialKind, id: String, at: Timestamp) {
        // A stopped driver no longer needs it.
        drop(self.send(move |driver| {
            driver.pending.uses.insert((kind, id), at);
        }));
    }
}

impl Driver {
    fn create_link(&mut self, role: Role, name: String) -> SignInLink {
        let now = clock::now();
        let expired = self.state.links.iter().filter(|(_, link)| now >= link.expires_at);
        for hash in expired.map(|(hash, _)| *hash).collect::<Vec<_>>() {
            self.state.links.remove(&hash);
        }
        let code = format!("{:032x}", rand::random::<u128>());
        let expires_at = now.after(LINK_LASTS);
        let hash = *blake3::hash(code.as_bytes()).as_bytes();
        self.state.links.insert(hash, Link { role, name, expires_at });
        SignInLink { path: format!("/#/sign-in/{code}"), code, expires_at }
    }

    fn sign_in(
        &mut self,
        code: &str,
        carrier: Carrier,
        from: Option<IpAddr>,
    ) -> Result<(SessionRow, String), DriverError> {
        let now = clock::now();
        let hash = *blake3::hash(code.as_bytes()).as_bytes();
        let link = self.state.links.remove(&hash).ok_or(DriverError::UnknownSignInCode)?;
        if now >= link.expires_at {
            return Err(DriverError::UnknownSignInCode);
        }
        self.drop_ended_sessions(now);
        let secret: [u8; 32] = rand::random();
        let secret = blake3::Hash::from_bytes(secret).to_hex();
        let secret = format!("{}{secret}", carrier.prefix());
        let row = SessionRow {
            id: Uuid::now_v7().to_string(),
            hash: *blake3::hash(secret.as_bytes()).as_bytes(),
            role: link.role,
            name: link.name,
            from: from.map(|address| address.to_string()),
            created_at: now,
            last_used: now,
        };
        self.state.sessions.insert(row.id.clone(), row.clone());
        Ok((row, secret))
    }

    fn end_session(&mut self, id: &String) -> Option<SessionRow> {
        self.state.sessions.remove(id)
    }

    /// Removes idle sessions when a new session starts.
    fn drop_ended_sessions(&mut self, now: Timestamp) {
        let ended = |row: &&SessionRow| match self.views.credential(&row.hash) {
            Some(credential) => !credential.counts(now),
            None => now >= row.last_used.after(SESSION_IDLE),
        };
        let ended: Vec<String> =
            self.state.sessions.values().filter(ended).map(|row| row.id.clone()).collect();
        for id in ended {
            self.end_session(&id);
        }
    }
}
