//! Join codes: creation, revocation and use.

use std::fmt;
use std::time::Duration;

use federation::table::Durability;
use protocol::Timestamp;
use protocol::api::ChangeKind;
use protocol::audit::{Action, SubjectKind};
use protocol::join::{JoinCodeState, JoinHint, JoinSecret, SECRET_BYTES};
use uuid::Uuid;

use super::audited::Audited;
use super::writer::DriverResult;
use super::{Driver, DriverError};
use crate::access::caller::detail;
use crate::clock;
use crate::cluster::sealed_secrets::SecretError;
use crate::store::{DeviceRow, JoinCodeRow, StoreError, password_row};

/// Request of an administrator for a join code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewJoinCode {
    pub(crate) name: String,
    pub(crate) uses: u32,
    pub(crate) expires_in: Duration,
}

/// New join code, with its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MadeJoinCode {
    pub(crate) row: JoinCodeRow,
    pub(crate) secret: JoinSecret,
}

/// Password of an exchange by a typed code. It is secret, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExchangePassword(pub(crate) [u8; 32]);

impl fmt::Debug for ExchangePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangePassword(…)")
    }
}

impl Audited<'_> {
    pub(crate) async fn create_join_code(&self, asked: NewJoinCode) -> DriverResult<MadeJoinCode> {
        self.write(|driver, caller| {
            let made = driver.create_join_code(asked)?;
            let row = &made.row;
            let detail = detail([
                ("name", row.name.clone()),
                ("uses", row.maximum_uses.to_string()),
                ("expires_at", row.expires_at.to_string()),
            ]);
            driver.record(caller, Action::Created, SubjectKind::JoinCode, &row.id, detail);
            Ok(made)
        })
        .await
    }

    pub(crate) async fn revoke_join_code(&self, id: String) -> DriverResult<()> {
        self.write(move |driver, caller| {
            let name = driver.revoke_join_code(&id)?;
            let detail = detail([("name", name)]);
            driver.record(caller, Action::Revoked, SubjectKind::JoinCode, id, detail);
            Ok(())
        })
        .await
    }

    /// Starts an exchange by a typed code, which counts as an attempt.
    pub(crate) async fn begin_exchange(&self, hint: JoinHint) -> DriverResult<ExchangePassword> {
        self.write(move |driver, _| driver.begin_exchange(hint)).await
    }
}

impl Driver {
    fn create_join_code(&mut self, asked: NewJoinCode) -> Result<MadeJoinCode, DriverError> {
        let now = clock::now();
        let secret = loop {
            let secret = JoinSecret::from_bytes(rand::random::<[u8; SECRET_BYTES]>());
            // A hint has 32 bits: two codes rarely share one, but hints must be unique.
            if !self.state.join_codes.index().by_hint.contains_key(&secret.hint()) {
                break secret;
            }
        };
        let id = Uuid::now_v7().to_string();
        let password = self.secrets.seal(&password_row(&id), &secret.password());
        let row = JoinCodeRow {
            id,
            name: asked.name,
            hint: secret.hint(),
            proof: secret.proof().hash(),
            password: password.map_err(unreadable)?,
            uses: 0,
            maximum_uses: asked.uses,
            tries: 0,
            expires_at: now.after(asked.expires_in),
            created_at: now,
            revoked: false,
        };
        self.state.join_codes.insert(row.id.clone(), row.clone());
        self.pending.changed(ChangeKind::JoinCode, row.id.clone());
        Ok(MadeJoinCode { row, secret })
    }

    /// Revokes the code and returns its name.
    fn revoke_join_code(&mut self, id: &String) -> Result<String, DriverError> {
        let row = self.state.join_codes.get(id);
        let name = row.map(|row| row.name.clone());
        let name = name.ok_or_else(|| DriverError::UnknownJoinCode(id.clone()))?;
        self.change_code(id, |row| row.revoked = true);
        Ok(name)
    }

    /// Starts an exchange by a typed code. It counts as an attempt until a device is enrolled by
    /// it.
    fn begin_exchange(&mut self, hint: JoinHint) -> Result<ExchangePassword, DriverError> {
        let now = clock::now();
        let codes = &self.state.join_codes;
        let row = codes.index().by_hint.get(&hint).and_then(|id| codes.get(id));
        let row = row.ok_or(DriverError::WrongJoinCode)?;
        check(row, now)?;
        let id = row.id.clone();
        let password = self.secrets.open(&password_row(&id), &row.password);
        let password = password.map_err(unreadable)?;
        let password = password.try_into().map_err(|_| unreadable(SecretError))?;
        self.change_code(&id, |row| row.tries = row.tries.saturating_add(1));
        Ok(ExchangePassword(password))
    }

    /// Counts a use of the code with this proof, in the transaction that enrolls the device.
    /// Returns the id of the code.
    ///
    /// A device that this code enrolled before consumes no second use, because it may have missed
    /// the response.
    pub(super) fn use_code(
        &mut self,
        proof: [u8; 32],
        known: Option<&DeviceRow>,
        now: Timestamp,
    ) -> Result<String, DriverError> {
        let codes = &self.state.join_codes;
        let row = codes.index().by_proof.get(&proof).and_then(|id| codes.get(id));
        let row = row.ok_or(DriverError::WrongJoinCode)?;
        let id = row.id.clone();
        let is_again = known.is_some_and(|known| known.join_code.as_ref() == Some(&id));
        match (row.state(now), is_again) {
            (JoinCodeState::Open, false) => self.change_code(&id, |row| {
                row.uses += 1;
                row.tries = row.tries.saturating_sub(1);
            }),
            (JoinCodeState::Open, true) => {
                self.change_code(&id, |row| row.tries = row.tries.saturating_sub(1));
            }
            (JoinCodeState::UsedUp, true) => {}
            (state, _) => return Err(DriverError::JoinCode(state)),
        }
        Ok(id)
    }

    fn change_code(&mut self, id: &String, change: impl FnOnce(&mut JoinCodeRow)) {
        if self.state.join_codes.change(id, Durability::Commit, change).is_some() {
            self.pending.changed(ChangeKind::JoinCode, id.clone());
        }
    }
}

fn unreadable(error: SecretError) -> DriverError {
    let (what, reason) = ("join code", error.to_string());
    StoreError::Unreadable { what, reason }.into()
}

/// Checks again in the driver a code that was found.
fn check(row: &JoinCodeRow, now: Timestamp) -> Result<(), DriverError> {
    match row.state(now) {
        JoinCodeState::Open => Ok(()),
        state @ (JoinCodeState::UsedUp
        | JoinCodeState::Expired
        | JoinCodeState::Revoked
        | JoinCodeState::Closed) => Err(DriverError::JoinCode(state)),
    }
}
