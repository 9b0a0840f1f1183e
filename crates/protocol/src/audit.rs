//! Audit log: its entries, and the hash chain that detects changed, removed and inserted entries.
//!
//! ```text
//! hash(n) = BLAKE3 derive_key("constellation audit entry 1", number ‖ at ‖ who ‖ role ‖ from ‖
//!           action ‖ subject kind ‖ subject id ‖ detail ‖ hash(n−1))         hash(0) = 32 zero bytes
//! ```
//! Numbers are 8 bytes, little-endian. Every text follows its length in bytes as such a number. A
//! missing text is the length 2^64−1 alone. `detail` is its count, then its names and values in the
//! order of the names.
//!
//! A chain cannot detect entries cut off at its end. To detect that, keep the newest hash elsewhere
//! and check later that the chain passes through it ([`Chain::is_at`]).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::api::Role;

mod action;
mod hash;

pub use action::{Action, SubjectKind, Unknown};
pub use hash::{AuditHash, InvalidAuditHash};

/// BLAKE3 context for the hashes of entries. Its number changes whenever [`Entry::hash`] does.
const CONTEXT: &str = "constellation audit entry 1";
/// Value written instead of a length if a text is missing.
const MISSING: u64 = u64::MAX;

/// Name of the coordinator itself in the log.
pub const COORDINATOR: &str = "coordinator";

/// Object that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    pub kind: SubjectKind,
    /// Its id, or its name if it has no id.
    pub id: String,
}

/// Audited action, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    pub at: Timestamp,
    /// Name of the credential. `coordinator` for its own actions, empty for an unauthenticated
    /// client.
    pub who: String,
    pub role: Option<Role>,
    /// Client's IP address, or null inside the coordinator's own process.
    pub from: Option<String>,
    pub action: Action,
    pub subject: Subject,
    /// Further details. Never a secret.
    pub detail: BTreeMap<String, String>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Entry number, from 1 without gaps.
    pub number: u64,
    #[serde(flatten)]
    pub record: Record,
    /// Hash of the previous entry.
    pub previous: AuditHash,
    pub hash: AuditHash,
}

impl Entry {
    /// Computes the hash that this entry must have.
    pub fn expected_hash(&self) -> AuditHash {
        hash(self.number, &self.record, self.previous)
    }
}

fn hash(number: u64, record: &Record, previous: AuditHash) -> AuditHash {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&number.to_le_bytes());
    hasher.update(&record.at.as_millis().to_le_bytes());
    let Subject { kind, id } = &record.subject;
    let texts = [
        Some(record.who.as_str()),
        record.role.map(Role::word),
        record.from.as_deref(),
        Some(record.action.word()),
        Some(kind.word()),
        Some(id),
    ];
    for text in texts {
        add(&mut hasher, text);
    }
    hasher.update(&(record.detail.len() as u64).to_le_bytes());
    for (name, value) in &record.detail {
        add(&mut hasher, Some(name));
        add(&mut hasher, Some(value));
    }
    hasher.update(previous.as_bytes());
    AuditHash::from_bytes(*hasher.finalize().as_bytes())
}

fn add(hasher: &mut blake3::Hasher, text: Option<&str>) {
    let length = text.map_or(MISSING, |text| text.len() as u64);
    hasher.update(&length.to_le_bytes());
    hasher.update(text.unwrap_or_default().as_bytes());
}

/// Response of `GET /audit/head`: the newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// 0 if the log is empty.
    pub number: u64,
    pub hash: AuditHash,
}

/// Break in a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    #[error("entry {expected} is missing: entry {found} is in its place")]
    Gap { expected: u64, found: u64 },
    #[error("entry {number} does not follow from the entry before it: one of the two was replaced")]
    Unlinked { number: u64 },
    #[error("entry {number} was altered: its hash does not match its content")]
    Altered { number: u64 },
}

/// State of a chain after the entries followed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Number of the newest entry. 0 before the first.
    pub number: u64,
    /// Hash of the newest entry.
    pub head: AuditHash,
}

impl Default for Chain {
    /// Chain before the first entry.
    fn default() -> Self {
        Self { number: 0, head: AuditHash::from_bytes([0; 32]) }
    }
}

impl Chain {
    /// Appends an action as the next entry.
    pub fn append(&mut self, record: Record) -> Entry {
        let (number, previous) = (self.number + 1, self.head);
        let hash = hash(number, &record, previous);
        *self = Self { number, head: hash };
        Entry { number, record, previous, hash }
    }

    /// Follows the chain by one entry.
    ///
    /// # Errors
    /// [`Break`] if the entry is not the next one. The chain stays unchanged.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Break> {
        let number = entry.number;
        if number != self.number + 1 {
            return Err(Break::Gap { expected: self.number + 1, found: number });
        }
        if entry.previous != self.head {
            return Err(Break::Unlinked { number });
        }
        if entry.hash != entry.expected_hash() {
            return Err(Break::Altered { number });
        }
        *self = Self { number, head: entry.hash };
        Ok(())
    }

    /// Returns whether the chain currently ends with `head`, a hash that was kept elsewhere.
    pub fn is_at(&self, head: AuditHash) -> bool {
        self.head == head
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.id)
    }
}

#[cfg(test)]
mod tests;
