//! Secret store of a data folder: the Keychain on macOS, elsewhere files that only their owner can read.
//!
//! A secret belongs to the folder that it was set for, so two workers on one machine with different
//! `--data-dir` don't share secrets. A folder that is copied to another Mac has no secrets there, because
//! the Keychain is not copied.

use std::io;
use std::path::Path;

/// Maximum length of a name, which is also a file name.
const MAXIMUM_NAME: usize = 64;

/// Secrets of a data folder.
#[derive(Debug, Clone)]
pub struct Secrets(store::Store);

impl Secrets {
    /// Opens the secrets of a folder, which must exist.
    pub fn open(folder: &Path) -> io::Result<Self> {
        store::Store::open(folder).map(Self)
    }

    /// Returns a secret, or `None` if it is not set.
    ///
    /// # Errors
    /// The name is invalid, the Keychain is locked or refuses, or the file can't be read.
    pub fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.get(checked(name)?)
    }

    /// Sets a secret and replaces an earlier one with the same name.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn set(&self, name: &str, secret: &[u8]) -> io::Result<()> {
        self.0.set(checked(name)?, secret)
    }

    /// Removes a secret, if there is one.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(checked(name)?)
    }
}

/// Checks a name: lower-case letters, digits and hyphens, so that it can't leave the folder.
fn checked(name: &str) -> io::Result<&str> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.is_empty() && name.len() <= MAXIMUM_NAME && name.bytes().all(allowed) {
        return Ok(name);
    }
    let message = format!("'{name}' is not a valid name of a secret: use a-z, 0-9 and '-'");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(not(target_os = "macos"))]
mod store {
    use std::path::{Path, PathBuf};
    use std::{fs, io};

    use crate::files::write_private;

    /// Folder with one file for each secret, mode 0600.
    #[derive(Debug, Clone)]
    pub(super) struct Store(PathBuf);

    impl Store {
        pub(super) fn open(folder: &Path) -> io::Result<Self> {
            Ok(Self(folder.canonicalize()?.join("secrets")))
        }

        pub(super) fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
            match fs::read(self.0.join(name)) {
                Ok(secret) => Ok(Some(secret)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(named(&error, &self.0.join(name))),
            }
        }

        pub(super) fn set(&self, name: &str, secret: &[u8]) -> io::Result<()> {
            fs::create_dir_all(&self.0).map_err(|error| named(&error, &self.0))?;
            let path = self.0.join(name);
            write_private(&path, secret).map_err(|error| named(&error, &path))
        }

        pub(super) fn remove(&self, name: &str) -> io::Result<()> {
            match fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(named(&error, &self.0.join(name)))
                }
                Ok(()) | Err(_) => Ok(()),
            }
        }
    }

    fn named(error: &io::Error, path: &Path) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    }
}

#[cfg(target_os = "macos")]
mod store {
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use security_framework::base::Error;
    use security_framework::passwords::{
        delete_generic_password, get_generic_password, set_generic_password,
    };

    /// The items' "Where" in Keychain Access.
    const SERVICE: &str = "com.constellation.app";
    /// Hash context for a folder's path.
    const CONTEXT: &str = "Constellation 2026-11 secrets of a folder v1";
    /// `errSecItemNotFound` of Security/SecBase.h.
    const NOT_FOUND: i32 = -25300;

    /// Keychain items whose account starts with the hash of the folder's path. The path itself would reveal
    /// more than necessary in the Keychain's list.
    #[derive(Debug, Clone)]
    pub(super) struct Store(String);

    impl Store {
        pub(super) fn open(folder: &Path) -> io::Result<Self> {
            let folder = folder.canonicalize()?;
            let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
            hasher.update(folder.as_os_str().as_bytes());
            Ok(Self(hasher.finalize().to_hex().chars().take(32).collect()))
        }

        pub(super) fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
            match get_generic_password(SERVICE, &self.account(name)) {
                Ok(secret) => Ok(Some(secret)),
                Err(error) if error.code() == NOT_FOUND => Ok(None),
                Err(error) => Err(failed("read", error)),
            }
        }

        pub(super) fn set(&self, name: &str, secret: &[u8]) -> io::Result<()> {
            set_generic_password(SERVICE, &self.account(name), secret)
                .map_err(|error| failed("write", error))
        }

        pub(super) fn remove(&self, name: &str) -> io::Result<()> {
            match delete_generic_password(SERVICE, &self.account(name)) {
                Err(error) if error.code() != NOT_FOUND => Err(failed("remove from", error)),
                Ok(()) | Err(_) => Ok(()),
            }
        }

        fn account(&self, name: &str) -> String {
            format!("{}/{name}", self.0)
        }
    }

    fn failed(what: &str, error: Error) -> io::Error {
        io::Error::other(format!(
            "can't {what} the Keychain: {error} ({}); unlock the login keychain and allow \
             Constellation to use it",
            error.code()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_set_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(folder.path()).unwrap();
        assert_eq!(secrets.get("device-key").unwrap(), None);
        secrets.set("device-key", b"one").unwrap();
        secrets.set("device-key", &[0, 255, 10]).unwrap();
        secrets.set("other", b"two").unwrap();
        let again = Secrets::open(folder.path()).unwrap();
        assert_eq!(again.get("device-key").unwrap().as_deref(), Some(&[0, 255, 10][..]));
        secrets.remove("device-key").unwrap();
        secrets.remove("device-key").unwrap();
        assert_eq!(again.get("device-key").unwrap(), None);
        assert_eq!(again.get("other").unwrap().as_deref(), Some(&b"two"[..]));
        secrets.remove("other").unwrap();
    }

    #[test]
    fn each_folder_has_its_own_secrets() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (Secrets::open(one.path()).unwrap(), Secrets::open(two.path()).unwrap());
        one.set("key", b"of one").unwrap();
        assert_eq!(two.get("key").unwrap(), None);
        one.remove("key").unwrap();
    }

    #[test]
    fn a_name_never_leaves_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(folder.path()).unwrap();
        for name in ["", "../lock", "a/b", "Key", "key.new", &"k".repeat(65)] {
            let error = secrets.get(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn a_secret_s_file_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        Secrets::open(folder.path()).unwrap().set("key", b"secret").unwrap();
        let file = folder.path().join("secrets/key");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
