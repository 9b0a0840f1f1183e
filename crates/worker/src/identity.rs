//! Who this device is, kept in its data folder: hardware id, the cluster, device id and token. Its
//! key is among the secrets ([`crate::key`]).

use std::io;
use std::path::{Path, PathBuf};

use protocol::enrolment::{MOST_EARLIER, Session};
use protocol::fingerprint::Fingerprint;
use protocol::join::JoinCode;
use protocol::{DeviceId, Pin};
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
    /// The latest runs, the newest last.
    #[serde(default)]
    sessions: Vec<String>,
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
    /// The machine that was enrolled: on another one this folder is a copy.
    pub(crate) hardware_id: String,
    pub(crate) instance: u32,
    pub(crate) cluster: Cluster,
}

impl Enrolment {
    /// Whether it is of this machine and instance: otherwise the folder is a copy.
    pub(crate) fn is_of(&self, hardware_id: &str, instance: u32) -> bool {
        self.hardware_id == hardware_id && self.instance == instance
    }
}

/// The cluster that a device belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: String,
    /// For people.
    pub name: String,
    /// Of its coordinator: the proof of who answers.
    pub pin: Pin,
    /// Where the coordinator was, each `host:port`; hints.
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

/// The cluster that the worker with this data folder belongs to; none where it is not enrolled.
///
/// # Errors
/// Where the folder's identity can't be read.
pub fn enrolled_with(folder: &Path) -> Result<Option<Cluster>, WorkerError> {
    Ok(Identity::load(folder)?.enrolment.map(|enrolment| enrolment.cluster))
}

/// The cluster that this machine belongs to as `instance`; none where the folder is another
/// machine's, copied.
///
/// # Errors
/// Where the folder's identity can't be read.
pub fn belongs_to(folder: &Path, instance: u32) -> Result<Option<Cluster>, WorkerError> {
    let identity = Identity::load(folder)?;
    let hardware_id = platform::hardware::hardware_id().or(identity.random_hardware_id);
    let enrolment = identity.enrolment.filter(|enrolment| {
        hardware_id.is_some_and(|hardware_id| enrolment.is_of(&hardware_id, instance))
    });
    Ok(enrolment.map(|enrolment| enrolment.cluster))
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                random_hardware_id: None,
                enrolment: None,
                sessions: Vec::new(),
                folder: folder.to_owned(),
            }),
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

    /// A run of its own, after those that the coordinator may still believe in. It is kept before the
    /// coordinator hears of it: a run that is killed at any moment is one of those that the next
    /// goes on for.
    pub(crate) fn begin_session(&mut self) -> Result<Session, WorkerError> {
        let id = Uuid::new_v4().simple().to_string();
        let session = Session { id: id.clone(), after: self.sessions.clone() };
        self.sessions.push(id);
        let surplus = self.sessions.len().saturating_sub(MOST_EARLIER);
        self.sessions.drain(..surplus);
        self.save()?;
        Ok(session)
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
        let enrolment = Enrolment {
            device,
            token: "secret".into(),
            heartbeat_seconds: 30,
            fingerprint,
            hardware_id: hardware_id.clone(),
            instance: 0,
            cluster: cluster.clone(),
        };
        identity.enrol(Some(enrolment)).unwrap();

        let mut again = Identity::load(folder.path()).unwrap();
        assert_eq!(again.hardware_id().unwrap(), hardware_id);
        assert_eq!(again.enrolment.unwrap().device, device);
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

    /// Makes the folder that of an enrolled device.
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
        let enrolment = Enrolment {
            device,
            token,
            heartbeat_seconds: 30,
            fingerprint,
            hardware_id: identity.hardware_id().unwrap(),
            instance: 0,
            cluster,
        };
        identity.enrol(Some(enrolment)).unwrap();
    }

    #[test]
    fn a_broken_file_is_not_a_new_device() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"enrolm").unwrap();
        let error = Identity::load(folder.path()).err().unwrap();
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
