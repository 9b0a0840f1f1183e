//! Join codes in memory, with an index by hint and by proof.

use std::collections::HashMap;

use federation::table::{Index, Table};
use protocol::join::{JoinCodeState, JoinHint};

use crate::store::JoinCodeRow;

/// All join codes by id.
pub(super) type JoinCodes = Table<String, JoinCodeRow, JoinCodeIndex>;

/// Index of the join codes by hint and proof.
#[derive(Debug, Default)]
pub(super) struct JoinCodeIndex {
    pub(super) by_hint: HashMap<JoinHint, String>,
    pub(super) by_proof: HashMap<[u8; 32], String>,
}

impl Index<String, JoinCodeRow> for JoinCodeIndex {
    fn insert(&mut self, id: &String, row: &JoinCodeRow) {
        self.by_hint.insert(row.hint, id.clone());
        self.by_proof.insert(row.proof, id.clone());
    }

    fn remove(&mut self, _id: &String, row: &JoinCodeRow) {
        self.by_hint.remove(&row.hint);
        self.by_proof.remove(&row.proof);
    }
}

/// Returns why a code in this state can't enroll a device.
pub(super) const fn state_words(state: JoinCodeState) -> &'static str {
    match state {
        JoinCodeState::Open => "this join code is valid",
        JoinCodeState::UsedUp => "this join code has reached its device limit; ask for another",
        JoinCodeState::Expired => "this join code has expired; ask for another",
        JoinCodeState::Revoked => "this join code was revoked; ask for another",
        JoinCodeState::Closed => {
            "this join code was closed after too many failed attempts; ask for another"
        }
    }
}
