//! Binary values in JSON: keys, signatures and messages of an exchange.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// Bytes that are base64url without padding in JSON.
#[derive(Clone, PartialEq, Eq, Hash, Default, ToSchema)]
#[schema(value_type = String)]
pub struct Opaque(pub Vec<u8>);

/// Text that is not base64url without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected base64url without padding")]
pub struct InvalidOpaque;

impl FromStr for Opaque {
    type Err = InvalidOpaque;

    fn from_str(text: &str) -> Result<Self, InvalidOpaque> {
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(|_| InvalidOpaque)
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({self})")
    }
}

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_through_json_and_other_text_is_refused() {
        let bytes = Opaque(vec![0, 255, 62, 63]);
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(json, "\"AP8-Pw\"");
        assert_eq!(serde_json::from_str::<Opaque>(&json).unwrap(), bytes);
        for text in ["\"AP8+Pw\"", "\"AP8-Pw==\"", "\"!\"", "7"] {
            assert!(serde_json::from_str::<Opaque>(text).is_err(), "{text}");
        }
    }
}
