//! Device key: created here, stored with the data folder's secrets, and never sent.

use std::io;
use std::path::Path;

use platform::Secrets;
use protocol::Opaque;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::WorkerError;

/// Name of the key among the data folder's secrets.
pub(crate) const SECRET: &str = "device-key";

/// Deletes the device's keys before the data folder is removed: on a Mac they would stay in the Keychain.
///
/// # Errors
/// The folder does not exist, or its secrets can't be changed.
pub fn forget(folder: &Path) -> io::Result<()> {
    let secrets = Secrets::open(folder)?;
    secrets.remove(SECRET)?;
    secrets.remove(crate::storage_key::NAME)
}

/// Ed25519 key of the device.
pub(crate) struct DeviceKey {
    pair: Ed25519KeyPair,
    /// Serialized key to store. `None` if it is already stored.
    unkept: Option<Vec<u8>>,
}

impl DeviceKey {
    /// Reads the key from `folder`, or creates one. An unreadable key is an error and is not replaced, which
    /// would orphan the old device.
    pub(crate) fn open(folder: &Path) -> Result<Self, WorkerError> {
        let disk = |source| WorkerError::Disk { path: folder.to_owned(), source };
        let secrets = Secrets::open(folder).map_err(disk)?;
        match secrets.get(SECRET).map_err(disk)? {
            Some(kept) => Self::read(&kept).map_err(disk),
            None => Self::generate()?.keep(folder),
        }
    }

    /// Generates a key without storing it.
    pub(crate) fn generate() -> Result<Self, WorkerError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| WorkerError::Randomness)?;
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref());
        let pair = pair.map_err(|_| WorkerError::Randomness)?;
        Ok(Self { pair, unkept: Some(made.as_ref().to_vec()) })
    }

    /// Stores the key in `folder` and replaces the one there. Does nothing if it is already stored.
    pub(crate) fn keep(mut self, folder: &Path) -> Result<Self, WorkerError> {
        let disk = |source| WorkerError::Disk { path: folder.to_owned(), source };
        if let Some(pkcs8) = self.unkept.take() {
            Secrets::open(folder).and_then(|secrets| secrets.set(SECRET, &pkcs8)).map_err(disk)?;
        }
        Ok(self)
    }

    fn read(pkcs8: &[u8]) -> io::Result<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8);
        pair.map(|pair| Self { pair, unkept: None }).map_err(|error| {
            let words = format!(
                "the device's key is damaged ({error}); remove the secret '{SECRET}' and enroll the \
                 device again"
            );
            io::Error::new(io::ErrorKind::InvalidData, words)
        })
    }

    pub(crate) fn public(&self) -> Opaque {
        Opaque(self.pair.public_key().as_ref().to_vec())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Opaque {
        Opaque(self.pair.sign(message).as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_replaced_on_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let first = DeviceKey::open(folder.path()).unwrap();
        let again = DeviceKey::open(folder.path()).unwrap();
        assert_eq!(first.public(), again.public());
        assert_eq!(first.sign(b"x"), again.sign(b"x"));
        let renewed = DeviceKey::generate().unwrap();
        assert_ne!(renewed.public(), first.public());
        assert_eq!(DeviceKey::open(folder.path()).unwrap().public(), first.public());
        let renewed = renewed.keep(folder.path()).unwrap();
        assert_eq!(DeviceKey::open(folder.path()).unwrap().public(), renewed.public());
    }

    #[test]
    fn a_key_that_is_forgotten_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DeviceKey::open(folder.path()).unwrap().public();
        forget(folder.path()).unwrap();
        forget(folder.path()).unwrap();
        assert_ne!(DeviceKey::open(folder.path()).unwrap().public(), first);
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        Secrets::open(folder.path()).unwrap().set(SECRET, b"damaged").unwrap();
        let error = DeviceKey::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("device-key"), "{error}");
    }
}
