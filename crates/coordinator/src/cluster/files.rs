//! Files of the cluster's identity: `cluster/key.pem` and `cluster/certificate.pem` in the data folder,
//! readable only by their owner.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use platform::files::write_private;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

pub(super) const KEY_FILE: &str = "key.pem";
pub(super) const CERTIFICATE_FILE: &str = "certificate.pem";

pub(super) const MEND_KEY: &str = "restore it from a backup; a new key is not made because the \
                                   devices trust only this one";
pub(super) const MEND_CERTIFICATE: &str =
    "remove it; a new one is made from the key, and devices are not affected";

/// Error of the cluster's identity.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("can't read {}: {source}; make it readable to this user", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("can't write {}: {source}; make the folder writable", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} is damaged: {reason}; {mend}", path.display())]
    Damaged { path: PathBuf, reason: String, mend: &'static str },
    #[error(
        "the cluster's key {} is missing, but its certificate exists; {MEND_KEY}",
        path.display()
    )]
    KeyMissing { path: PathBuf },
    #[error(
        "the cluster's key and certificate are missing from {}, and {enrolled} devices trust them: \
         restore the folder from a backup, or start a new cluster with another --data-dir and \
         enroll the devices there",
        folder.display()
    )]
    BothMissing { folder: PathBuf, enrolled: usize },
    #[error(
        "the certificate in {} belongs to another cluster than the database (cluster id {id}): \
         restore both from the same backup",
        folder.display()
    )]
    OtherCluster { folder: PathBuf, id: String },
    #[error(
        "{} can't be used as this coordinator's certificate: {reason}; set --tls-certificate and \
         --tls-key to a certificate and its unencrypted key in PEM",
        path.display()
    )]
    OwnCertificate { path: PathBuf, reason: String },
    #[error("can't generate the cluster's key and certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("can't set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("cluster")
}

/// Reads the key and certificate as PEM. Generates them at the first start, and the certificate alone if
/// only it is missing.
pub(super) fn read_or_make(
    data_dir: &Path,
    id: &str,
    name: &str,
    enrolled: usize,
) -> Result<(String, String), ClusterError> {
    let folder = folder(data_dir);
    let (key_path, certificate_path) = (folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE));
    let key = match (read(&key_path)?, read(&certificate_path)?) {
        (Some(key), Some(certificate)) => return Ok((key, certificate)),
        (None, Some(_)) => return Err(ClusterError::KeyMissing { path: key_path }),
        (None, None) if enrolled > 0 => return Err(ClusterError::BothMissing { folder, enrolled }),
        (Some(key), None) => KeyPair::from_pem(&key).map_err(|error| ClusterError::Damaged {
            path: key_path,
            reason: error.to_string(),
            mend: MEND_KEY,
        })?,
        (None, None) => {
            make_folder(&folder)
                .map_err(|source| ClusterError::Unwritable { path: folder, source })?;
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write(&key_path, &key.serialize_pem())?;
            tracing::debug!("generated the cluster's key");
            key
        }
    };
    // Also completes a first start that was interrupted.
    let certificate = certificate(&key, id, name)?;
    write(&certificate_path, &certificate)?;
    Ok((key.serialize_pem(), certificate))
}

/// Makes the cluster's certificate. It never expires (RFC 5280 §4.1.2.5): devices trust the key, and a
/// wrong clock must not separate a device from its cluster.
fn certificate(key: &KeyPair, id: &str, name: &str) -> Result<String, ClusterError> {
    let mut params = CertificateParams::new([protocol::pin::server_name(id)])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.self_signed(key)?.pem())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn read(path: &Path) -> Result<Option<String>, ClusterError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClusterError::Unreadable { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), ClusterError> {
    write_private(path, text.as_bytes())
        .map_err(|source| ClusterError::Unwritable { path: path.to_owned(), source })
}
