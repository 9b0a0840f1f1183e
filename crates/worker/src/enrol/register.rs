//! Registration: the device signs the coordinator's challenge, shows the proof of its join code, and
//! gets a token.

use platform::DeviceFacts;
use protocol::DeviceId;
use protocol::enrolment::{DeviceRegistration, Registered, Session, signed};
use protocol::fingerprint::Backend;
use protocol::join::{JoinProof, JoinSecret};
use protocol::trainer::Ready;

use crate::answer::RequestError;
use crate::client::Client;
use crate::identity::{Cluster, Enrolment};
use crate::key::DeviceKey;
use crate::status::Voice;
use crate::{Settings, WorkerError};

/// The kind of problem by which the coordinator tells that a key is another device's.
const COPIED_KEY: &str = "copied-key";
/// That the machine's record is in use, for a moment.
const AT_WORK: &str = "device-at-work";

/// A device that registers.
pub(super) struct Applicant<'a> {
    pub(super) settings: &'a Settings,
    pub(super) client: &'a Client,
    pub(super) voice: &'a Voice<'a>,
    pub(super) ready: &'a Ready,
    pub(super) session: &'a Session,
    pub(super) facts: DeviceFacts,
    pub(super) name: String,
    pub(super) hardware_id: String,
}

impl Applicant<'_> {
    /// Registers with the cluster of the code. The enrollment and the key are not kept yet.
    ///
    /// `copy_of` is the device whose folder this is a copy of, `known_as` the device that this
    /// folder's enrollment names.
    pub(super) async fn register(
        &self,
        secret: &JoinSecret,
        mut cluster: Cluster,
        mut key: DeviceKey,
        copy_of: Option<DeviceId>,
        known_as: Option<DeviceId>,
    ) -> Result<(Enrolment, DeviceKey), WorkerError> {
        cluster.pin = self.settings.pin.unwrap_or(cluster.pin);
        self.client.set_pin(cluster.pin);
        let proof = secret.proof();
        let mut said = self.registration(copy_of);
        let answer = self.until_answered(&cluster, &proof, &said, &key).await;
        let registered = match answer {
            Err(RequestError::Refused(problem)) if problem.kind == COPIED_KEY => {
                tracing::warn!(%problem, "making a key of its own");
                key = DeviceKey::generate()?;
                said.copy_of = known_as;
                self.until_answered(&cluster, &proof, &said, &key).await
            }
            answer => answer,
        };
        let Registered { id, token, heartbeat_seconds, enrolment, awaiting_approval } =
            registered.map_err(refused)?;
        tracing::info!(device = %id, ?enrolment, awaiting_approval, cluster = cluster.name, "enrolled");
        let enrolment = Enrolment {
            device: id,
            token,
            heartbeat_seconds,
            fingerprint: self.ready.fingerprint.clone(),
            hardware_id: self.hardware_id.clone(),
            instance: self.settings.instance,
            cluster,
        };
        Ok((enrolment, key))
    }

    /// All but what each try signs.
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

    /// Signs and registers, until there is an answer that time won't change.
    async fn until_answered(
        &self,
        cluster: &Cluster,
        proof: &JoinProof,
        said: &DeviceRegistration,
        key: &DeviceKey,
    ) -> Result<Registered, RequestError> {
        let register = || self.signed(cluster, proof, said.clone(), key);
        self.client.until_answered(register, |error| self.voice.offline(error)).await
    }

    /// One try, with a challenge of its own.
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
            // The machine's earlier worker was heard of a moment ago: that passes.
            Err(RequestError::Refused(problem)) if problem.kind == AT_WORK => {
                Err(RequestError::Unwell { problem, retry_after: None })
            }
            answer => answer,
        }
    }
}

/// The worker's end after a request that time won't change.
pub(crate) fn refused(error: RequestError) -> WorkerError {
    match error {
        RequestError::Refused(problem) => WorkerError::Refused(problem),
        other @ (RequestError::NoCoordinator
        | RequestError::NoPin
        | RequestError::Unreachable(_)
        | RequestError::WrongPin(_)
        | RequestError::Address(_)
        | RequestError::Unwell { .. }
        | RequestError::Nonsense(_)) => WorkerError::Coordinator(other.to_string()),
    }
}
