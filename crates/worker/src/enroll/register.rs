//! Registration: the device signs the coordinator's challenge, sends the proof of its join code, and
//! receives a token.

use platform::DeviceFacts;
use protocol::DeviceId;
use protocol::enrollment::{DeviceRegistration, Registered, Session, signed};
use protocol::fingerprint::Backend;
use protocol::join::{JoinProof, JoinSecret};
use protocol::trainer::Ready;

use crate::client::Client;
use crate::identity::{Cluster, Enrollment};
use crate::key::DeviceKey;
use crate::response::RequestError;
use crate::status::StatusReporter;
use crate::{WorkerError, WorkerSettings};

/// Problem kind for a key that belongs to another device.
const COPIED_KEY: &str = "copied-key";
/// Problem kind for a device record that is in use at the moment.
const AT_WORK: &str = "device-at-work";

/// Device that registers.
pub(super) struct Applicant<'a> {
    pub(super) settings: &'a WorkerSettings,
    pub(super) client: &'a Client,
    pub(super) reporter: &'a StatusReporter<'a>,
    pub(super) ready: &'a Ready,
    pub(super) session: &'a Session,
    pub(super) facts: DeviceFacts,
    pub(super) name: String,
    pub(super) hardware_id: String,
}

impl Applicant<'_> {
    /// Registers with the cluster of the code. Does not store the enrollment or the key.
    ///
    /// `copy_of` is the device from whose folder this one was copied. `known_as` is the device in this
    /// folder's enrollment.
    pub(super) async fn register(
        &self,
        secret: &JoinSecret,
        mut cluster: Cluster,
        mut key: DeviceKey,
        copy_of: Option<DeviceId>,
        known_as: Option<DeviceId>,
    ) -> Result<(Enrollment, DeviceKey), WorkerError> {
        cluster.pin = self.settings.pin.unwrap_or(cluster.pin);
        self.client.set_pin(cluster.pin);
        let proof = secret.proof();
        let mut said = self.registration(copy_of);
        let answer = self.retry_until_answered(&cluster, &proof, &said, &key).await;
        let registered = match answer {
            Err(RequestError::Refused(problem)) if problem.kind == COPIED_KEY => {
                tracing::warn!(%problem, "this data folder is a copy; creating a new key");
                key = DeviceKey::generate()?;
                said.copy_of = known_as;
                self.retry_until_answered(&cluster, &proof, &said, &key).await
            }
            answer => answer,
        };
        let Registered { id, token, heartbeat_seconds, enrollment, awaiting_approval } =
            registered.map_err(refused)?;
        tracing::info!(device = %id, ?enrollment, awaiting_approval, cluster = cluster.name, "enrolled");
        let enrollment = Enrollment {
            device: id,
            token,
            heartbeat_seconds,
            fingerprint: self.ready.fingerprint.clone(),
            hardware_id: self.hardware_id.clone(),
            instance: self.settings.instance,
            cluster,
        };
        Ok((enrollment, key))
    }

    /// Returns the request without the parts that each attempt signs.
    fn registration(&self, copy_of: Option<DeviceId>) -> DeviceRegistration {
        DeviceRegistration {
            name: self.name.clone(),
            device_type: self.facts.device_type.to_owned(),
            cores: self.facts.cores,
            ram_gb: self.facts.ram_gb,
            gpu_available: self.ready.fingerprint.backend == Backend::Wgpu,
            gpu_name: self.ready.gpu_name.as_deref().map(protocol::text::cleaned),
            hardware_id: self.hardware_id.clone(),
            instance: self.settings.instance,
            fingerprint: self.ready.fingerprint.clone(),
            public_key: protocol::Opaque::default(),
            challenge: String::new(),
            signature: protocol::Opaque::default(),
            session: Some(self.session.clone()),
            copy_of,
        }
    }

    /// Retries until the registration gets a final answer.
    async fn retry_until_answered(
        &self,
        cluster: &Cluster,
        proof: &JoinProof,
        said: &DeviceRegistration,
        key: &DeviceKey,
    ) -> Result<Registered, RequestError> {
        let register = || self.signed(cluster, proof, said.clone(), key);
        self.client.retry_until_answered(register, |error| self.reporter.offline(error)).await
    }

    /// Makes one attempt, with its own challenge.
    async fn signed(
        &self,
        cluster: &Cluster,
        proof: &JoinProof,
        mut said: DeviceRegistration,
        key: &DeviceKey,
    ) -> Result<Registered, RequestError> {
        said.public_key = key.public();
        said.challenge = self.client.challenge().await?.challenge;
        let message = signed(
            &said.challenge,
            &cluster.pin,
            &said.hardware_id,
            said.instance,
            &said.fingerprint,
        );
        said.signature = key.sign(&message);
        match self.client.register(&said, proof).await {
            // The machine's earlier worker sent a heartbeat a moment ago. This is temporary.
            Err(RequestError::Refused(problem)) if problem.kind == AT_WORK => {
                Err(RequestError::ServerError { problem, retry_after: None })
            }
            answer => answer,
        }
    }
}

/// Converts a permanent request error.
pub(crate) fn refused(error: RequestError) -> WorkerError {
    match error {
        RequestError::Refused(problem) => WorkerError::Refused(problem),
        other @ (RequestError::NoCoordinator
        | RequestError::NoPin
        | RequestError::Unreachable(_)
        | RequestError::WrongPin(_)
        | RequestError::Address(_)
        | RequestError::ServerError { .. }
        | RequestError::InvalidResponse(_)) => WorkerError::Coordinator(other.to_string()),
    }
}
