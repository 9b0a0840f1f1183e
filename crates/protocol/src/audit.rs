//! The audit log: what an entry says, and the chain of hashes by which anybody can see that no entry
//! was changed, left out or put in.
//!
//! ```text
//! hash(n) = BLAKE3 derive_key("constellation audit entry 1", number ‖ at ‖ who ‖ role ‖ from ‖
//!           action ‖ subject kind ‖ subject id ‖ detail ‖ hash(n−1))         hash(0) = 32 zero bytes
//! ```
//! Numbers are 8 bytes, little-endian; every text follows its length in bytes as such a number; a
//! text that is missing is the length 2^64−1 alone; `detail` is its count and then its names and
//! values in the order of the names.
//!
//! A chain can't know what was cut off at its end: whoever wants to know that keeps the newest hash
//! elsewhere and looks later whether the chain comes by it ([`Chain::is_at`]).

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

/// BLAKE3's context for the hashes of entries; its number changes where [`Entry::hash`] does.
const CONTEXT: &str = "constellation audit entry 1";
/// In the place of a length: there is no text.
const MISSING: u64 = u64::MAX;

/// Who the coordinator itself is in the log.
pub const COORDINATOR: &str = "coordinator";

/// What a change was made to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    pub kind: SubjectKind,
    /// Its id, or its name where it has no id.
    pub id: String,
}

/// What happened, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    pub at: Timestamp,
    /// The name of the credential; `coordinator` for what it does by itself, empty for a stranger.
    pub who: String,
    pub role: Option<Role>,
    /// The address it came from; none from inside the coordinator's own process.
    pub from: Option<String>,
    pub action: Action,
    pub subject: Subject,
    /// What else is worth knowing; never a secret.
    pub detail: BTreeMap<String, String>,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// From 1, without gaps.
    pub number: u64,
    #[serde(flatten)]
    pub record: Record,
    /// The hash of the entry before.
    pub previous: AuditHash,
    pub hash: AuditHash,
}

impl Entry {
    /// The hash that this entry must have.
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

/// Answer to `GET /audit/head`: the newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// 0 before the first.
    pub number: u64,
    pub hash: AuditHash,
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    #[error("entry {expected} is missing: entry {found} stands in its place")]
    Gap { expected: u64, found: u64 },
    #[error("entry {number} does not follow from the one before it: one of the two was replaced")]
    Unlinked { number: u64 },
    #[error("entry {number} is not what was written: its hash does not fit what it says")]
    Altered { number: u64 },
}

/// A chain as far as it was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Of the newest entry; 0 before the first.
    pub number: u64,
    /// Of the newest entry.
    pub head: AuditHash,
}

impl Default for Chain {
    /// Before the first entry.
    fn default() -> Self {
        Self { number: 0, head: AuditHash::from_bytes([0; 32]) }
    }
}

impl Chain {
    /// The entry that follows with what happened; the chain then ends with it.
    pub fn append(&mut self, record: Record) -> Entry {
        let (number, previous) = (self.number + 1, self.head);
        let hash = hash(number, &record, previous);
        *self = Self { number, head: hash };
        Entry { number, record, previous, hash }
    }

    /// Follows the chain by one entry.
    ///
    /// # Errors
    /// [`Break`] where the entry is not the one that follows; the chain then stays where it is.
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

    /// Whether the chain ends just now with `head`, which somebody kept.
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
