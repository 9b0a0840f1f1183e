//! Encrypted secrets that the coordinator must read again: passwords of join codes for SPAKE2, and
//! the URLs and keys of webhooks for deliveries. Other secrets are stored as hashes.
//!
//! AES-256-GCM with a random nonce encrypts a secret. BLAKE3 derives the key from the cluster's
//! private key: the database alone reveals nothing, and a backup, which contains both, is complete.
//! The row name is authenticated, so a secret can't be moved to another row.

use std::fmt;

use protocol::Opaque;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

const CONTEXT: &str = "Constellation 2026-11 coordinator secrets at rest v1";

/// Encryption key for the secrets of one cluster.
#[derive(Clone)]
pub(crate) struct SecretKey([u8; 32]);

/// Encrypted secret: nonce, then ciphertext with its tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SealedSecret(pub(crate) Opaque);

/// Error: the secret can't be decrypted, or is too long to encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not encrypted with this cluster's key, or it was changed")]
pub(crate) struct SecretError;

impl SecretKey {
    /// Derives the key from the cluster's private key (DER).
    pub(crate) fn derive(private_key: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, private_key))
    }

    fn cipher(&self) -> Result<LessSafeKey, SecretError> {
        let key = UnboundKey::new(&AES_256_GCM, &self.0).map_err(|_| SecretError)?;
        Ok(LessSafeKey::new(key))
    }

    /// Encrypts a secret for the row of this name, such as `join_codes/ID`.
    pub(crate) fn seal(&self, row: &str, secret: &[u8]) -> Result<SealedSecret, SecretError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = secret.to_vec();
        let tag = self.cipher()?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(row.as_bytes()),
            &mut bytes,
        );
        let tag = tag.map_err(|_| SecretError)?;
        Ok(SealedSecret(Opaque([&nonce, bytes.as_slice(), tag.as_ref()].concat())))
    }

    /// Decrypts what was encrypted for the row of this name.
    pub(crate) fn open(&self, row: &str, sealed: &SealedSecret) -> Result<Vec<u8>, SecretError> {
        let (nonce, bytes) = sealed.0.0.split_first_chunk::<NONCE_LEN>().ok_or(SecretError)?;
        let mut bytes = bytes.to_vec();
        let (nonce, row) = (Nonce::assume_unique_for_key(*nonce), Aad::from(row.as_bytes()));
        let plain = self.cipher()?.open_in_place(nonce, row, &mut bytes);
        let plain = plain.map_err(|_| SecretError)?;
        let length = plain.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_in_its_row_and_nowhere_else() {
        let (key, other) = (SecretKey::derive(b"one"), SecretKey::derive(b"another"));
        let sealed = key.seal("webhooks/1", b"whsec_secret").unwrap();
        assert_eq!(key.open("webhooks/1", &sealed).unwrap(), b"whsec_secret");
        assert_eq!(key.open("webhooks/2", &sealed), Err(SecretError));
        assert_eq!(other.open("webhooks/1", &sealed), Err(SecretError));
        assert_ne!(key.seal("webhooks/1", b"whsec_secret").unwrap(), sealed, "the nonce is random");
        for at in 0..sealed.0.0.len() {
            let mut changed = sealed.clone();
            changed.0.0[at] ^= 1;
            assert_eq!(key.open("webhooks/1", &changed), Err(SecretError), "byte {at}");
        }
        for length in 0..sealed.0.0.len() {
            let cut = SealedSecret(Opaque(sealed.0.0[..length].to_vec()));
            assert_eq!(key.open("webhooks/1", &cut), Err(SecretError), "{length} bytes");
        }
        assert!(!sealed.0.0.windows(6).any(|window| window == b"secret"));
    }
}
