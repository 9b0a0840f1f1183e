//! Cluster identity: id, name, private key, and the certificate for that key.
//!
//! Devices trust only the key, by its [`Pin`]. The certificate may be reissued from the key at any
//! time, but a new key means a new cluster to every device. A missing or damaged key therefore
//! prevents the coordinator from starting.

mod expiry;
mod files;
mod own;
pub(crate) mod sealed_secrets;
mod tls;

use std::path::Path;
use std::sync::Arc;

use protocol::Pin;
use rustls::Error as TlsError;
use rustls::client::verify_server_name;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use crate::cluster::sealed_secrets::SecretKey;
pub use files::ClusterError;
use files::{CERTIFICATE_FILE, KEY_FILE};
pub(crate) use own::Current;
pub use own::OwnCertificate;
pub(crate) use tls::{HTTP2, server_config};

/// Identity of the cluster.
#[derive(Debug, Clone)]
pub struct ClusterIdentity {
    /// Created at the first start and kept.
    pub id: String,
    /// Display name. It may change.
    pub name: String,
    /// Pin of the cluster's key.
    pub pin: Pin,
    pub(crate) certified: Arc<CertifiedKey>,
    /// Encrypts secrets in the database.
    pub(crate) secrets: SecretKey,
}

impl ClusterIdentity {
    /// Reads the identity from `data_dir`. Creates one if there is none and no device has been
    /// `enrolled` yet.
    pub(crate) fn open(
        data_dir: &Path,
        id: &str,
        name: &str,
        enrolled: usize,
    ) -> Result<Self, ClusterError> {
        let (key, certificate) = files::read_or_make(data_dir, id, name, enrolled)?;
        let folder = files::folder(data_dir);
        let damaged = |file: &str, reason: String| ClusterError::Damaged {
            path: folder.join(file),
            reason,
            mend: if file == KEY_FILE { files::MEND_KEY } else { files::MEND_CERTIFICATE },
        };
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| damaged(KEY_FILE, error.to_string()))?;
        let secrets = SecretKey::derive(key.secret_der());
        let key = any_supported_type(&key).map_err(|error| damaged(KEY_FILE, error.to_string()))?;
        let bad_certificate = |reason: String| damaged(CERTIFICATE_FILE, reason);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| bad_certificate(error.to_string()))?;
        let certified = CertifiedKey::new(vec![certificate.clone()], key);
        let parsed = ParsedCertificate::try_from(&certificate)
            .map_err(|error| bad_certificate(error.to_string()))?;
        certified.keys_match().map_err(|error| {
            let is_other = matches!(error, TlsError::InconsistentKeys(_));
            let other = || "it belongs to another key".to_owned();
            bad_certificate(if is_other { other() } else { error.to_string() })
        })?;
        let name_of_cluster =
            server_name(id).map_err(|error| bad_certificate(error.to_string()))?;
        if verify_server_name(&parsed, &name_of_cluster).is_err() {
            return Err(ClusterError::OtherCluster { folder, id: id.to_owned() });
        }
        let pin = Pin::from_public_key(parsed.subject_public_key_info().as_ref());
        let (id, name) = (id.to_owned(), name.to_owned());
        Ok(Self { id, name, pin, certified: Arc::new(certified), secrets })
    }
}

fn server_name(id: &str) -> Result<ServerName<'static>, rustls::pki_types::InvalidDnsNameError> {
    ServerName::try_from(protocol::pin::server_name(id))
}

/// Returns the pin of the coordinator whose data is in `data_dir`, or `None` if there is none.
///
/// # Errors
/// The certificate can't be read.
pub fn pin_of(data_dir: &Path) -> Result<Option<Pin>, ClusterError> {
    let path = files::folder(data_dir).join(CERTIFICATE_FILE);
    let Some(text) = files::read(&path)? else { return Ok(None) };
    let damaged = |reason: String| ClusterError::Damaged {
        path: path.clone(),
        reason,
        mend: files::MEND_CERTIFICATE,
    };
    let certificate = CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| damaged(error.to_string()))?;
    let parsed =
        ParsedCertificate::try_from(&certificate).map_err(|error| damaged(error.to_string()))?;
    Ok(Some(Pin::from_public_key(parsed.subject_public_key_info().as_ref())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn open(folder: &Path, enrolled: usize) -> Result<ClusterIdentity, ClusterError> {
        ClusterIdentity::open(folder, ID, "Lab", enrolled)
    }

    #[test]
    fn a_cluster_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let made = open(folder.path(), 0).unwrap();
        let again = ClusterIdentity::open(folder.path(), ID, "another name", 3).unwrap();
        assert_eq!(again.pin, made.pin);
        assert_eq!(again.certified.cert, made.certified.cert);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(pin_of(elsewhere.path()).unwrap(), None);
        assert_ne!(open(elsewhere.path(), 0).unwrap().pin, made.pin);
        assert_eq!(pin_of(folder.path()).unwrap(), Some(made.pin));
    }

    #[test]
    fn the_files_are_their_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 0).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&files::folder(folder.path())), 0o700);
        for file in [KEY_FILE, CERTIFICATE_FILE] {
            assert_eq!(mode(&files::folder(folder.path()).join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_lost_certificate_is_made_anew_and_the_pin_stays() {
        let folder = tempfile::tempdir().unwrap();
        let made = open(folder.path(), 0).unwrap();
        fs::remove_file(files::folder(folder.path()).join(CERTIFICATE_FILE)).unwrap();
        assert_eq!(open(folder.path(), 5).unwrap().pin, made.pin);
    }

    #[test]
    fn a_lost_or_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 0).unwrap();
        let key = files::folder(folder.path()).join(KEY_FILE);
        let whole = fs::read_to_string(&key).unwrap();
        for broken in ["", "not a key", &whole[..whole.len() / 2], &whole.replace('M', "N")] {
            fs::write(&key, broken).unwrap();
            let error = open(folder.path(), 0).unwrap_err();
            assert!(matches!(error, ClusterError::Damaged { .. }), "{broken}: {error}");
            assert!(error.to_string().contains("backup"), "{error}");
            assert_eq!(fs::read_to_string(&key).unwrap(), broken);
        }
        fs::remove_file(&key).unwrap();
        let error = open(folder.path(), 0).unwrap_err();
        assert!(matches!(error, ClusterError::KeyMissing { .. }), "{error}");
        assert!(!key.exists());
    }

    #[test]
    fn a_damaged_certificate_says_how_to_get_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 0).unwrap();
        let path = files::folder(folder.path()).join(CERTIFICATE_FILE);
        fs::write(&path, "not a certificate").unwrap();
        let error = open(folder.path(), 0).unwrap_err().to_string();
        assert!(error.contains("remove it"), "{error}");
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(folder.path(), 0).unwrap();
        open(elsewhere.path(), 0).unwrap();
        let file = |folder: &Path| files::folder(folder).join(CERTIFICATE_FILE);
        fs::copy(file(elsewhere.path()), file(folder.path())).unwrap();
        let error = open(folder.path(), 0).unwrap_err().to_string();
        assert!(error.contains("belongs to another key"), "{error}");
    }

    #[test]
    fn a_folder_of_another_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), 0).unwrap();
        let error = ClusterIdentity::open(folder.path(), OTHER, "Lab", 0).unwrap_err();
        assert!(matches!(error, ClusterError::OtherCluster { .. }), "{error}");
    }

    #[test]
    fn with_devices_enrolled_no_new_key_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path(), 2).unwrap_err();
        assert!(matches!(error, ClusterError::BothMissing { enrolled: 2, .. }), "{error}");
        assert!(!files::folder(folder.path()).exists());
    }
}
