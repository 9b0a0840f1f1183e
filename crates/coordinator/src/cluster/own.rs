//! The company's own certificate, which the coordinator presents to browsers instead of the cluster's
//! certificate. Devices still verify the cluster's key.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use blake3::{Hash, Hasher};
use protocol::Timestamp;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::ClusterError;
use super::expiry::not_after;

/// Interval at which the files are checked for a renewal.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);

/// PEM files of the company's certificate, which the company renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The server's certificate, followed by the intermediate certificates.
    pub certificate: PathBuf,
    /// Private key: PKCS #8, PKCS #1 or SEC 1, unencrypted.
    pub key: PathBuf,
}

/// The company's certificate as last read successfully.
#[derive(Debug)]
pub(crate) struct Current {
    files: OwnCertificate,
    certified: RwLock<Read>,
}

#[derive(Debug)]
struct Read {
    /// Hash of both files, to detect a change.
    digest: Hash,
    certified: Arc<CertifiedKey>,
}

impl Current {
    pub(crate) fn load(files: OwnCertificate) -> Result<Self, ClusterError> {
        let read = files.read()?;
        Ok(Self { files, certified: RwLock::new(read) })
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.read().unwrap_or_else(PoisonError::into_inner).certified.clone()
    }

    /// Returns the expiry date of the server's certificate, or `None` if it can't be read.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        not_after(self.certified().cert.first()?)
    }

    /// Reloads renewed files until `stopping` is cancelled.
    pub(crate) async fn follow(&self, stopping: CancellationToken) {
        while tokio::time::timeout(CHECK_INTERVAL, stopping.cancelled()).await.is_err() {
            match self.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!("reloaded the renewed TLS certificate"),
                // Also happens when only one of the two files is replaced yet.
                Err(error) => {
                    tracing::warn!(%error, "can't use the renewed certificate; keeping the previous one");
                }
            }
        }
    }

    /// Reads the files again and returns whether they changed.
    fn reload(&self) -> Result<bool, ClusterError> {
        let bytes = self.files.bytes()?;
        if self.certified.read().unwrap_or_else(PoisonError::into_inner).digest == digest(&bytes) {
            return Ok(false);
        }
        let read = self.files.parse(&bytes)?;
        *self.certified.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(true)
    }
}

impl OwnCertificate {
    fn read(&self) -> Result<Read, ClusterError> {
        self.parse(&self.bytes()?)
    }

    fn bytes(&self) -> Result<(Vec<u8>, Vec<u8>), ClusterError> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|source| ClusterError::Unreadable { path: path.clone(), source })
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn parse(&self, bytes: &(Vec<u8>, Vec<u8>)) -> Result<Read, ClusterError> {
        let bad = |path: &PathBuf, reason: String| ClusterError::OwnCertificate {
            path: path.clone(),
            reason,
        };
        let chain = CertificateDer::pem_slice_iter(&bytes.0)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| bad(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, "it contains no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&bytes.1)
            .map_err(|error| bad(&self.key, error.to_string()))?;
        let key = any_supported_type(&key).map_err(|error| bad(&self.key, error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| bad(&self.key, error.to_string()))?;
        Ok(Read { digest: digest(bytes), certified: Arc::new(certified) })
    }
}

fn digest((certificate, key): &(Vec<u8>, Vec<u8>)) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(&certificate.len().to_le_bytes()).update(certificate).update(key);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn write(folder: &Path) -> OwnCertificate {
        let made = rcgen::generate_simple_self_signed(["lab.example".to_owned()]).unwrap();
        let files =
            OwnCertificate { certificate: folder.join("lab.crt"), key: folder.join("lab.key") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn renewed_files_are_used_once_both_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path());
        let current = Current::load(files.clone()).unwrap();
        let first = current.certified();
        assert!(!current.reload().unwrap());

        let elsewhere = tempfile::tempdir().unwrap();
        let renewed = write(elsewhere.path());
        std::fs::copy(&renewed.certificate, &files.certificate).unwrap();
        let error = current.reload().unwrap_err();
        assert!(error.to_string().contains("lab.key"), "{error}");
        assert_eq!(current.certified().cert, first.cert);

        std::fs::copy(&renewed.key, &files.key).unwrap();
        assert!(current.reload().unwrap());
        assert_ne!(current.certified().cert, first.cert);
    }

    #[test]
    fn errors_name_the_unusable_file() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path());
        std::fs::write(&files.certificate, "no certificate").unwrap();
        let error = Current::load(files.clone()).unwrap_err().to_string();
        assert!(error.contains("lab.crt") && error.contains("--tls-certificate"), "{error}");
        std::fs::remove_file(&files.key).unwrap();
        let error = Current::load(files).unwrap_err().to_string();
        assert!(error.contains("lab.key"), "{error}");
    }
}
