//! The tensor codec: a flat vector of f32 in layout order, as little-endian bytes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Encoding of a blob of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Codec {
    /// Every parameter as a little-endian f32, in layout order.
    #[serde(rename = "f32-le")]
    F32Le,
}

/// Bytes that do not have the expected length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("expected {expected} parameters ({} bytes), got {actual} bytes", expected * 4)]
    Length { expected: usize, actual: usize },
}

/// Encodes `parameters`.
pub fn encode(parameters: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parameters.len() * 4);
    for parameter in parameters {
        bytes.extend_from_slice(&parameter.to_le_bytes());
    }
    bytes
}

/// Decodes `expected` parameters. The values are not checked.
pub fn decode(bytes: &[u8], expected: usize) -> Result<Vec<f32>, CodecError> {
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() != expected || !rest.is_empty() {
        return Err(CodecError::Length { expected, actual: bytes.len() });
    }
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_restores_the_bits(bits in proptest::collection::vec(any::<u32>(), 0..64)) {
            let parameters: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
            let back = decode(&encode(&parameters), parameters.len()).unwrap();
            prop_assert_eq!(back.iter().map(|p| p.to_bits()).collect::<Vec<_>>(), bits);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let whole = bytes.len() / 4;
            prop_assert_eq!(decode(&bytes, whole).is_ok(), bytes.len() % 4 == 0);
            prop_assert!(decode(&bytes, whole + 1).is_err());
        }
    }
}
