//! Identity of this device, stored in its data folder: hardware id, cluster, device id and token. The key
//! is stored with the secrets ([`crate::key`]).

use std::io;
use std::path::{Path, PathBuf};

use protocol::enrollment::{MOST_EARLIER, Session};
use protocol::fingerprint::Fingerprint;
use protocol::join::JoinCode;
use protocol::{DeviceId, Pin};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::WorkerError;

const FILE: &str = "identity.json";

/// Contents of the file. Not `Debug`, because it holds a secret.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Random hardware id, created once, if the system provides none.
    #[serde(default)]
    random_hardware_id: Option<String>,
    #[serde(default)]
    #[serde(rename = "enrolment")]
    pub(crate) enrollment: Option<Enrollment>,
    /// Latest runs, oldest first.
    #[serde(default)]
    sessions: Vec<String>,
    #[serde(skip)]
    folder: PathBuf,
}

/// Enrollment: the coordinator's record of this device.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Enrollment {
    pub(crate) device: DeviceId,
    pub(crate) token: String,
    pub(crate) heartbeat_seconds: u32,
    /// Compute fingerprint at registration. A different one must be registered again.
    pub(crate) fingerprint: Fingerprint,
    /// Enrolled machine. On another machine, this folder is a copy.
    pub(crate) hardware_id: String,
    pub(crate) instance: u32,
    pub(crate) cluster: Cluster,
}

impl Enrollment {
    /// Returns whether it belongs to this machine and instance. Otherwise the folder is a copy.
    pub(crate) fn is_of(&self, hardware_id: &str, instance: u32) -> bool {
        self.hardware_id == hardware_id && self.instance == instance
    }
}

/// Cluster of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: String,
    /// Display name.
    pub name: String,
    /// Pin of the coordinator, which proves its identity.
    pub pin: Pin,
    /// Last known addresses of the coordinator, each `host:port`. They are hints.
    #[serde(default)]
    pub addresses: Vec<String>,
}

impl From<&JoinCode> for Cluster {
    fn from(code: &JoinCode) -> Self {
        Self {
            id: code.cluster_id.to_string(),
            name: code.cluster_name.clone(),
            pin: code.pin,
            addresses: code.addresses.clone(),
        }
    }
}

/// Returns the cluster of the worker with this data folder. `None` if it is not enrolled.
///
/// # Errors
/// The folder's identity can't be read.
pub fn enrolled_with(folder: &Path) -> Result<Option<Cluster>, WorkerError> {
    Ok(Identity::load(folder)?.enrollment.map(|enrollment| enrollment.cluster))
}

/// Returns the cluster of this machine as `instance`. `None` if the folder was copied from another
/// machine.
///
/// # Errors
/// The folder's identity can't be read.
pub fn belongs_to(folder: &Path, instance: u32) -> Result<Option<Cluster>, WorkerError> {
    let identity = Identity::load(folder)?;
    let hardware_id = platform::hardware::hardware_id().or(identity.random_hardware_id);
    let enrollment = identity.enrollment.filter(|enrollment| {
        hardware_id.is_some_and(|hardware_id| enrollment.is_of(&hardware_id, instance))
    });
    Ok(enrollment.map(|enrollment| enrollment.cluster))
}

impl Identity {
    /// Reads the identity in `folder`, or creates an empty one. An unreadable file is an error and does not create
    /// a new identity, which would orphan the old device.
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                random_hardware_id: None,
                enrollment: None,
                sessions: Vec::new(),
                folder: folder.to_owned(),
            }),
            Err(error) => Err(disk(error)),
        }
    }

    /// Returns the machine's id, or a stored random one.
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

    /// Creates the session of this run. It names the earlier runs that the coordinator may still consider
    /// active. It is stored before the coordinator receives it, so that the next run can follow it even if this one
    /// is killed at any moment.
    pub(crate) fn begin_session(&mut self) -> Result<Session, WorkerError> {
        let id = Uuid::new_v4().simple().to_string();
        let session = Session { id: id.clone(), after: self.sessions.clone() };
        self.sessions.push(id);
        let surplus = self.sessions.len().saturating_sub(MOST_EARLIER);
        self.sessions.drain(..surplus);
        self.save()?;
        Ok(session)
    }

    pub(crate) fn enroll(&mut self, enrollment: Option<Enrollment>) -> Result<(), WorkerError> {
        self.enrollment = enrollment;
        self.save()
    }

    /// Removes the folder's identity, including a random hardware id.
    pub(crate) fn forget(folder: &Path) -> Result<(), WorkerError> {
        let path = folder.join(FILE);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(WorkerError::Disk { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn save(&self) -> Result<(), WorkerError> {
        let path = self.path();
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
        let hardware_id = identity.hardware_id().unwrap();
        assert_eq!(enrolled_with(folder.path()).unwrap(), None);
        let fingerprint = Fingerprint {
            app: "1".into(),
            burn: "2".into(),
            backend: Backend::Cpu,
            hardware: "x".into(),
        };
        let device = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let cluster = Cluster {
            id: "c".into(),
            name: "n".into(),
            pin: Pin::from_bytes([7; 32]),
            addresses: vec!["192.0.2.7:8000".into()],
        };
        let enrollment = Enrollment {
            device,
            token: "secret".into(),
            heartbeat_seconds: 30,
            fingerprint,
            hardware_id: hardware_id.clone(),
            instance: 0,
            cluster: cluster.clone(),
        };
        identity.enroll(Some(enrollment)).unwrap();

        let mut again = Identity::load(folder.path()).unwrap();
        assert_eq!(again.hardware_id().unwrap(), hardware_id);
        assert_eq!(again.enrollment.unwrap().device, device);
        assert_eq!(enrolled_with(folder.path()).unwrap(), Some(cluster.clone()));
        assert_eq!(belongs_to(folder.path(), 0).unwrap(), Some(cluster));
        assert_eq!(belongs_to(folder.path(), 1).unwrap(), None);
    }

    #[test]
    fn each_run_goes_on_for_the_runs_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut before: Option<Session> = None;
        for _ in 0..20 {
            let session = Identity::load(folder.path()).unwrap().begin_session().unwrap();
            assert!(session.is_bounded());
            if let Some(before) = before {
                assert!(session.follows(&before.id) && !before.follows(&session.id));
            }
            before = Some(session);
        }
    }

    /// Writes the identity of an enrolled device into the folder.
    pub(crate) fn enrolled(folder: &Path, pin: Pin) {
        let fingerprint = Fingerprint {
            app: "1".into(),
            burn: "2".into(),
            backend: Backend::Cpu,
            hardware: "x".into(),
        };
        let device = crate::test_server::device();
        let token = "secret".into();
        let mut identity = Identity::load(folder).unwrap();
        let cluster = Cluster {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            name: "x".into(),
            pin,
            addresses: vec![],
        };
        let enrollment = Enrollment {
            device,
            token,
            heartbeat_seconds: 30,
            fingerprint,
            hardware_id: identity.hardware_id().unwrap(),
            instance: 0,
            cluster,
        };
        identity.enroll(Some(enrollment)).unwrap();
    }

    #[test]
    fn a_broken_file_is_not_a_new_device() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"enrolm").unwrap();
        let error = Identity::load(folder.path()).err().unwrap();
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
