//! Pin: the fingerprint by which a device recognizes its coordinator at any address and under any
//! name.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// SHA-256 fingerprint of a certificate's public key (its `SubjectPublicKeyInfo` in DER), as in RFC
/// 7469 §2.4. It stays the same when a new certificate is made for the same key. As text it is
/// base64url without padding: 43 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String)]
pub struct Pin([u8; 32]);

/// Text that is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a pin: a pin has 43 characters; the coordinator prints it when it starts")]
pub struct InvalidPin {
    text: String,
}

/// Domain of the server names (SNI) that select the certificate of the cluster's own key, even if
/// the coordinator has another certificate. The names never resolve: addresses come from elsewhere,
/// and the pin authenticates the coordinator.
const CLUSTER_KEY_DOMAIN: &str = "constellation.internal";

/// Returns the server name in the cluster's own certificate.
pub fn server_name(cluster_id: &str) -> String {
    format!("{cluster_id}.{CLUSTER_KEY_DOMAIN}")
}

/// Returns the server name that a client requests when it verifies a pin.
pub fn pinned_server_name() -> String {
    format!("pinned.{CLUSTER_KEY_DOMAIN}")
}

/// Returns whether a handshake for this server name selects the cluster's own key.
pub fn asks_for_cluster_key(server_name: &str) -> bool {
    let host = server_name.strip_suffix(CLUSTER_KEY_DOMAIN);
    host.is_some_and(|host| host.len() > 1 && host.ends_with('.'))
}

impl Pin {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Computes the pin of a public key (`SubjectPublicKeyInfo` in DER).
    pub fn from_public_key(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let decoded = URL_SAFE_NO_PAD.decode(text.trim()).ok();
        let bytes = decoded.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| InvalidPin { text: text.to_owned() })
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of an empty message, a published value (FIPS 180-4, example of the empty message).
    const EMPTY_DIGEST: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn a_pin_is_the_digest_of_the_key_in_base64url() {
        assert_eq!(Pin::from_public_key(b"").to_string(), EMPTY_DIGEST);
    }

    #[test]
    fn a_pin_round_trips_through_text_and_json() {
        let pin = Pin::from_bytes([0xfb; 32]);
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().len(), 43);
        let json = serde_json::to_string(&pin).unwrap();
        assert_eq!(serde_json::from_str::<Pin>(&json).unwrap(), pin);
    }

    #[test]
    fn server_names_below_the_domain_select_the_cluster_s_key() {
        assert!(asks_for_cluster_key(&server_name("01890a5d-ac96-774b-bcce-b302099a8057")));
        assert!(asks_for_cluster_key(&pinned_server_name()));
        for other in ["lab.example", CLUSTER_KEY_DOMAIN, "xconstellation.internal", ""] {
            assert!(!asks_for_cluster_key(other), "{other}");
        }
    }

    #[test]
    fn an_invalid_pin_is_refused_with_its_text() {
        for text in ["", "abc", &EMPTY_DIGEST[1..], &format!("{EMPTY_DIGEST}="), &"+".repeat(43)] {
            let error = text.parse::<Pin>().unwrap_err();
            assert!(error.to_string().contains(&format!("'{text}'")), "{error}");
        }
    }
}
