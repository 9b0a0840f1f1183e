//! The device's own key: made here, kept in the data folder's secrets, and never sent.

use std::io;
use std::path::Path;

use platform::Secrets;
use protocol::Opaque;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::WorkerError;

/// Among the secrets of the data folder.
pub(crate) const SECRET: &str = "device-key";

/// Forgets the keys of the device, for who removes the data folder: on a Mac the Keychain outlives it.
///
/// # Errors
/// Where the folder is not there, or its secrets can't be changed.
pub fn forget(folder: &Path) -> io::Result<()> {
    let secrets = Secrets::of(folder)?;
    secrets.remove(SECRET)?;
    secrets.remove(crate::storage_key::NAME)
}

/// An Ed25519 key.
pub(crate) struct DeviceKey(Ed25519KeyPair);

impl DeviceKey {
    /// The key that `folder` keeps; makes one where there is none. A key that can't be read is an
    /// error, not a new key: the old device would be an orphan.
    pub(crate) fn of(folder: &Path) -> Result<Self, WorkerError> {
        let disk = |source| WorkerError::Disk { path: folder.to_owned(), source };
        let secrets = Secrets::of(folder).map_err(disk)?;
        match secrets.get(SECRET).map_err(disk)? {
            Some(kept) => Self::read(&kept).map_err(disk),
            None => Self::renew(folder),
        }
    }

    /// A new key, in place of the one that was kept.
    pub(crate) fn renew(folder: &Path) -> Result<Self, WorkerError> {
        let disk = |source| WorkerError::Disk { path: folder.to_owned(), source };
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| WorkerError::Randomness)?;
        let secrets = Secrets::of(folder).map_err(disk)?;
        secrets.set(SECRET, made.as_ref()).map_err(disk)?;
        Self::read(made.as_ref()).map_err(disk)
    }

    fn read(pkcs8: &[u8]) -> io::Result<Self> {
        Ed25519KeyPair::from_pkcs8(pkcs8).map(Self).map_err(|error| {
            let words = format!(
                "the device's key is damaged ({error}); remove the secret '{SECRET}' and enrol the \
                 device again"
            );
            io::Error::new(io::ErrorKind::InvalidData, words)
        })
    }

    pub(crate) fn public(&self) -> Opaque {
        Opaque(self.0.public_key().as_ref().to_vec())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Opaque {
        Opaque(self.0.sign(message).as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_renewed_on_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let first = DeviceKey::of(folder.path()).unwrap();
        let again = DeviceKey::of(folder.path()).unwrap();
        assert_eq!(first.public(), again.public());
        assert_eq!(first.sign(b"x"), again.sign(b"x"));
        let renewed = DeviceKey::renew(folder.path()).unwrap();
        assert_ne!(renewed.public(), first.public());
        assert_eq!(DeviceKey::of(folder.path()).unwrap().public(), renewed.public());
    }

    #[test]
    fn a_key_that_is_forgotten_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DeviceKey::of(folder.path()).unwrap().public();
        forget(folder.path()).unwrap();
        forget(folder.path()).unwrap();
        assert_ne!(DeviceKey::of(folder.path()).unwrap().public(), first);
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        Secrets::of(folder.path()).unwrap().set(SECRET, b"damaged").unwrap();
        let error = DeviceKey::of(folder.path()).err().unwrap().to_string();
        assert!(error.contains("device-key"), "{error}");
    }
}
