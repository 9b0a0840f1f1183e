//! Blob names: the BLAKE3 hash of their bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// BLAKE3 hash of a blob's bytes. As text 64 lowercase hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash([u8; 32]);

/// Text that is not a blob hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a blob hash: expected 64 hexadecimal characters")]
pub struct InvalidBlobHash {
    text: String,
}

impl BlobHash {
    /// Computes the hash of these bytes.
    pub fn compute(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for BlobHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from_bytes(self.0).to_hex().fmt(f)
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

impl FromStr for BlobHash {
    type Err = InvalidBlobHash;

    fn from_str(text: &str) -> Result<Self, InvalidBlobHash> {
        // Only lowercase is accepted: upper case would give one blob two paths.
        let canonical = text.len() == 64 && !text.bytes().any(|b| b.is_ascii_uppercase());
        match blake3::Hash::from_hex(text) {
            Ok(hash) if canonical => Ok(hash.into()),
            Ok(_) | Err(_) => Err(InvalidBlobHash { text: text.chars().take(80).collect() }),
        }
    }
}

impl Serialize for BlobHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl PartialSchema for BlobHash {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{64}$")).into()
    }
}

impl ToSchema for BlobHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lowercase_hex_is_a_blob_hash() {
        let name = BlobHash::compute(b"x").to_string();
        assert_eq!(name.parse::<BlobHash>().unwrap(), BlobHash::compute(b"x"));
        assert!(name.to_uppercase().parse::<BlobHash>().is_err());
        assert!(name[1..].parse::<BlobHash>().is_err());
        assert!("../../etc/passwd".parse::<BlobHash>().is_err());
    }
}
