//! Who this device is, kept in its data folder: hardware id, device id and token.

use std::io;
use std::path::{Path, PathBuf};

use protocol::DeviceId;
use protocol::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::WorkerError;

const FILE: &str = "identity.json";

/// The file's contents. Not `Debug`: it holds a secret.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Only where the system has none: random, made once.
    #[serde(default)]
    random_hardware_id: Option<String>,
    #[serde(default)]
    pub(crate) enrolment: Option<Enrolment>,
    #[serde(skip)]
    folder: PathBuf,
}

/// What a coordinator knows this device by.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Enrolment {
    pub(crate) device: DeviceId,
    pub(crate) token: String,
    pub(crate) heartbeat_seconds: u32,
    /// What the device registered with: another one must be told.
    pub(crate) fingerprint: Fingerprint,
}

impl Identity {
    /// Reads `folder`'s identity; a folder without one has a new one. An unreadable file is an
    /// error, not a new identity: the old device would be an orphan.
    pub(crate) fn load(folder: &Path) -> Result<Self, WorkerError> {
        let path = folder.join(FILE);
        let disk = |source| WorkerError::Disk { path: path.clone(), source };
        match std::fs::read(&path) {
            Ok(bytes) => {
                let mut identity: Self = serde_json::from_slice(&bytes)
                    .map_err(|error| disk(io::Error::new(io::ErrorKind::InvalidData, error)))?;
                folder.clone_into(&mut identity.folder);
                Ok(identity)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { random_hardware_id: None, enrolment: None, folder: folder.to_owned() })
            }
            Err(error) => Err(disk(error)),
        }
    }

    /// The machine's id, or a random one that is kept.
    pub(crate) fn hardware_id(&mut self) -> Result<String, WorkerError> {
        if let Some(id) = platform::hardware::hardware_id() {
            return Ok(id);
        }
        if let Some(id) = &self.random_hardware_id {
            return Ok(id.clone());
        }
        let id = Uuid::new_v4().simple().to_string();
        self.random_hardware_id = Some(id.clone());
        self.save()?;
        Ok(id)
    }

    pub(crate) fn enrol(&mut self, enrolment: Option<Enrolment>) -> Result<(), WorkerError> {
        self.enrolment = enrolment;
        self.save()
    }

    /// Removes the folder's identity, a random hardware id included.
    pub(crate) fn forget(folder: &Path) -> Result<(), WorkerError> {
        let path = folder.join(FILE);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(WorkerError::Disk { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn save(&self) -> Result<(), WorkerError> {
        let path = self.folder.join(FILE);
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        platform::files::write_private(&path, &bytes)
            .map_err(|source| WorkerError::Disk { path, source })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::fingerprint::Backend;

    use super::*;

    #[test]
    fn an_identity_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut identity = Identity::load(folder.path()).unwrap();
        let hardware = identity.hardware_id().unwrap();
        let fingerprint = Fingerprint {
            app: "1".into(),
            burn: "2".into(),
            backend: Backend::Cpu,
            hardware: "x".into(),
        };
        let device = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let token = "secret".into();
        let enrolment = Enrolment { device, token, heartbeat_seconds: 30, fingerprint };
        identity.enrol(Some(enrolment)).unwrap();

        let mut again = Identity::load(folder.path()).unwrap();
        assert_eq!(again.hardware_id().unwrap(), hardware);
        assert_eq!(again.enrolment.unwrap().device, device);
    }

    /// Makes the folder that of an enrolled device.
    pub(crate) fn enrolled(folder: &Path) {
        let fingerprint = Fingerprint {
            app: "1".into(),
            burn: "2".into(),
            backend: Backend::Cpu,
            hardware: "x".into(),
        };
        let device = crate::test_server::device();
        let token = "secret".into();
        let enrolment = Enrolment { device, token, heartbeat_seconds: 30, fingerprint };
        Identity::load(folder).unwrap().enrol(Some(enrolment)).unwrap();
    }

    #[test]
    fn a_broken_file_is_not_a_new_device() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"enrolm").unwrap();
        let error = Identity::load(folder.path()).err().unwrap();
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
