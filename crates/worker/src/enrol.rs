//! Becoming a device of a cluster: by the enrolment that is kept, or by a join code.

use platform::DeviceFacts;
use protocol::DeviceId;
use protocol::enrolment::{DeviceRegistration, Registered, Session, signed};
use protocol::fingerprint::Backend;
use protocol::join::{Join, JoinProof};
use protocol::text;
use protocol::trainer::Ready;

use crate::answer::RequestError;
use crate::client::Client;
use crate::first_contact::by_typed_code;
use crate::identity::{Cluster, Enrolment, Identity};
use crate::key::DeviceKey;
use crate::status::{Status, Voice};
use crate::{Settings, WorkerError};

/// The device's enrolment, the one that is kept or a new one.
pub(crate) async fn enrolled(
    settings: &Settings,
    client: &Client,
    voice: &Voice<'_>,
    identity: &mut Identity,
    ready: &Ready,
    session: &Session,
) -> Result<Enrolment, WorkerError> {
    let facts = DeviceFacts::read();
    // The owner may have put anything into the computer's name, and the coordinator takes only what can
    // be shown.
    let name = text::cleaned(&settings.name.clone().unwrap_or(facts.name));
    let name = if name.is_empty() { "unnamed".to_owned() } else { name };
    let hardware_id = identity.hardware_id()?;
    if let Some(kept) = &identity.enrolment {
        client.set_pin(settings.pin.unwrap_or(kept.cluster.pin));
    }
    let copy_of = left_by_another(identity, &hardware_id, settings.instance);
    let enrolment = match (identity.enrolment.clone(), &settings.join) {
        (Some(_), None) if copy_of.is_some() => {
            return Err(WorkerError::Copied { path: identity.path() });
        }
        (Some(kept), join)
            if copy_of.is_none()
                && kept.fingerprint == ready.fingerprint
                && !is_of_another(join.as_ref(), &kept.cluster) =>
        {
            kept
        }
        (Some(kept), None) => {
            tracing::warn!(
                "this device computes otherwise than when it was enrolled; it may get no work \
                 until it is enrolled again with --join"
            );
            kept
        }
        (None, None) => return Err(WorkerError::NotRegistered),
        (kept, Some(join)) => {
            let mut key = match copy_of {
                Some(device) => {
                    tracing::warn!(%device, "this data folder is a copy: making a key of its own");
                    DeviceKey::renew(&settings.data_dir)?
                }
                None => DeviceKey::of(&settings.data_dir)?,
            };
            let mut cluster = cluster(client, voice, join, kept.as_ref()).await?;
            cluster.pin = settings.pin.unwrap_or(cluster.pin);
            client.set_pin(cluster.pin);
            let said = DeviceRegistration {
                name: name.clone(),
                device_type: facts.device_type.to_owned(),
                cores: facts.cores,
                ram_gb: facts.ram_gb,
                gpu_available: ready.fingerprint.backend == Backend::Wgpu,
                gpu_name: ready.gpu_name.as_deref().map(text::cleaned),
                hardware_id: hardware_id.clone(),
                instance: settings.instance,
                fingerprint: ready.fingerprint.clone(),
                public_key: key.public(),
                challenge: String::new(),
                signature: protocol::Opaque::default(),
                session: Some(session.clone()),
                copy_of,
            };
            let proof = join.secret().proof();
            let mut applicant = Applicant { client, voice, cluster: &cluster, proof, said };
            let registered = match applicant.register(&key).await {
                Err(RequestError::Refused(problem)) if problem.kind == COPIED_KEY => {
                    tracing::warn!(%problem, "making a key of its own");
                    key = DeviceKey::renew(&settings.data_dir)?;
                    applicant.said.copy_of = kept.map(|kept| kept.device);
                    applicant.register(&key).await
                }
                answer => answer,
            };
            let Registered { id, token, heartbeat_seconds, enrolment, awaiting_approval } =
                registered.map_err(refused)?;
            tracing::info!(device = %id, ?enrolment, awaiting_approval, cluster = cluster.name, "enrolled");
            let fingerprint = ready.fingerprint.clone();
            let instance = settings.instance;
            let enrolment = Enrolment {
                device: id,
                token,
                heartbeat_seconds,
                fingerprint,
                hardware_id,
                instance,
                cluster,
            };
            identity.enrol(Some(enrolment.clone()))?;
            enrolment
        }
    };
    voice.say(&Status::Registered { device: enrolment.device, name });
    Ok(enrolment)
}

/// The kind of problem by which the coordinator tells that a key is another device's.
const COPIED_KEY: &str = "copied-key";
/// That the machine's record is in use, for a moment.
const AT_WORK: &str = "device-at-work";

/// The device whose data folder this is a copy of; none where it is its own.
fn left_by_another(identity: &Identity, hardware_id: &str, instance: u32) -> Option<DeviceId> {
    let kept = identity.enrolment.as_ref()?;
    let is_own = kept.hardware_id == hardware_id && kept.instance == instance;
    (!is_own).then_some(kept.device)
}

/// Whether the code is of another cluster than the device belongs to: then a person wants to move it.
fn is_of_another(join: Option<&Join>, cluster: &Cluster) -> bool {
    match join {
        Some(Join::Link(code)) => code.cluster_id.to_string() != cluster.id,
        Some(Join::Typed(_)) | None => false,
    }
}

/// Which cluster the code is of.
async fn cluster(
    client: &Client,
    voice: &Voice<'_>,
    join: &Join,
    kept: Option<&Enrolment>,
) -> Result<Cluster, WorkerError> {
    match (join, kept) {
        (Join::Link(code), _) => Ok(code.as_ref().into()),
        // The pin that was learned counts for as long as the enrolment is kept.
        (Join::Typed(_), Some(kept)) => Ok(kept.cluster.clone()),
        (Join::Typed(secret), None) => by_typed_code(client, voice, secret).await,
    }
}

/// A device that registers.
struct Applicant<'a> {
    client: &'a Client,
    voice: &'a Voice<'a>,
    cluster: &'a Cluster,
    proof: JoinProof,
    said: DeviceRegistration,
}

impl Applicant<'_> {
    /// Signs and registers, until there is an answer that time won't change.
    async fn register(&mut self, key: &DeviceKey) -> Result<Registered, RequestError> {
        self.said.public_key = key.public();
        let register = || self.signed(key);
        self.client.until_answered(register, |error| self.voice.offline(error)).await
    }

    /// One try, with a challenge of its own.
    async fn signed(&self, key: &DeviceKey) -> Result<Registered, RequestError> {
        let mut said = self.said.clone();
        said.challenge = self.client.challenge().await?.challenge;
        let message = signed(
            &said.challenge,
            &self.cluster.pin,
            &said.hardware_id,
            said.instance,
            &said.fingerprint,
        );
        said.signature = key.sign(&message);
        match self.client.register(&said, &self.proof).await {
            // The machine's earlier worker was heard of a moment ago: that passes.
            Err(RequestError::Refused(problem)) if problem.kind == AT_WORK => {
                Err(RequestError::Unwell { problem, retry_after: None })
            }
            answer => answer,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use protocol::join::{JoinCode, JoinSecret};
    use protocol::{Opaque, Pin, Problem};
    use ring::signature::{ED25519, UnparsedPublicKey};
    use serde_json::{Value, json};
    use tokio::sync::watch;
    use trainer::TrainerCommand;
    use uuid::Uuid;

    use super::*;
    use crate::test_server::{Server, Step};

    const DEVICE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn code() -> JoinCode {
        JoinCode {
            cluster_name: "lab".into(),
            cluster_id: Uuid::from_u128(1),
            addresses: vec![],
            pin: Pin::from_bytes([7; 32]),
            secret: JoinSecret::from_bytes([9; 10]),
        }
    }

    fn settings(folder: &Path, join: Option<Join>) -> Settings {
        let trainer = TrainerCommand { program: "none".into(), args: vec![] };
        Settings { join, ..Settings::new(folder.to_owned(), watch::channel(None).1, trainer) }
    }

    fn ready() -> Ready {
        let json = json!({
            "fingerprint": { "app": "0", "burn": "0", "backend": "cpu", "hardware": "x" },
            "gpu_name": null, "reason": "x"
        });
        serde_json::from_value(json).unwrap()
    }

    fn challenge() -> Step {
        Step::answer("200 OK", "", br#"{"challenge":"to sign","expires_in":120}"#)
    }

    fn registered() -> Step {
        let body = json!({
            "id": DEVICE, "token": "t", "heartbeat_seconds": 30, "enrolment": "new"
        });
        Step::answer("200 OK", "", body.to_string().as_bytes())
    }

    fn refusal(status: u16, kind: &str) -> Step {
        let body = serde_json::to_vec(&Problem::new(status, kind, "No", "words")).unwrap();
        Step::answer(&format!("{status} No"), "", &body)
    }

    /// What came of enrolling.
    struct Tried {
        outcome: Result<Enrolment, WorkerError>,
        /// Of the registrations.
        bodies: Vec<Value>,
        /// How often the worker was offline.
        offline: usize,
        /// Of the coordinator.
        pin: Pin,
    }

    /// Enrols in `folder` with what the coordinator is prepared to say.
    async fn enrol(folder: &Path, join: Option<Join>, steps: Vec<Step>) -> Tried {
        let server = Server::start(steps).await;
        let offline = Mutex::new(0);
        let observe = |status: &Status| {
            if matches!(status, Status::Offline { .. }) {
                *offline.lock().unwrap() += 1;
            }
        };
        let voice = Voice::new(&observe, crate::PresenceDetail::Reasons);
        let mut identity = Identity::load(folder).unwrap();
        let session = identity.begin_session().unwrap();
        let settings = Settings { pin: Some(server.pin), ..settings(folder, join) };
        let client = server.client();
        let outcome = enrolled(&settings, &client, &voice, &mut identity, &ready(), &session).await;
        let asked = server.asked();
        let bodies = asked.iter().filter(|asked| asked.line().contains("/devices/register"));
        let bodies = bodies.map(|asked| -> Value {
            let expected = format!("Bearer {}", code().secret.proof().bearer());
            assert_eq!(asked.header("authorization"), Some(expected.as_str()));
            serde_json::from_slice(&asked.body).unwrap()
        });
        drop(voice);
        let bodies = bodies.collect();
        Tried { outcome, bodies, offline: offline.into_inner().unwrap(), pin: server.pin }
    }

    fn link() -> Join {
        Join::Link(Box::new(code()))
    }

    #[tokio::test]
    async fn a_registration_is_signed_for_this_coordinator_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let tried = enrol(folder.path(), Some(link()), vec![challenge(), registered()]).await;
        assert_eq!(tried.outcome.unwrap().device.to_string(), DEVICE);
        let said: DeviceRegistration = serde_json::from_value(tried.bodies[0].clone()).unwrap();
        let hardware = &said.hardware_id;
        let message = signed("to sign", &tried.pin, hardware, said.instance, &said.fingerprint);
        UnparsedPublicKey::new(&ED25519, &said.public_key.0)
            .verify(&message, &said.signature.0)
            .unwrap();
        // The next start asks nobody, also without the code.
        for join in [Some(link()), None] {
            let again = enrol(folder.path(), join, vec![]).await;
            let cluster = again.outcome.unwrap().cluster;
            assert_eq!((cluster.pin, cluster.name.as_str()), (tried.pin, "lab"));
            assert_eq!(again.bodies.len(), 0);
        }
    }

    #[tokio::test]
    async fn a_key_that_is_another_device_s_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let before = DeviceKey::of(folder.path()).unwrap().public();
        let steps = vec![challenge(), refusal(409, "copied-key"), challenge(), registered()];
        let tried = enrol(folder.path(), Some(link()), steps).await;
        tried.outcome.unwrap();
        assert_eq!(tried.bodies[0]["public_key"], json!(before));
        assert_ne!(tried.bodies[1]["public_key"], json!(before));
        let now: Opaque = DeviceKey::of(folder.path()).unwrap().public();
        assert_eq!(tried.bodies[1]["public_key"], json!(now));
    }

    #[tokio::test]
    async fn a_folder_of_another_machine_becomes_a_device_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let steps = || vec![challenge(), registered()];
        enrol(folder.path(), Some(link()), steps()).await.outcome.unwrap();
        let key = DeviceKey::of(folder.path()).unwrap().public();
        let file = folder.path().join("identity.json");
        let mut kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        kept["enrolment"]["hardware_id"] = json!("another machine");
        std::fs::write(&file, kept.to_string()).unwrap();
        let tried = enrol(folder.path(), None, vec![]).await;
        assert!(matches!(tried.outcome, Err(WorkerError::Copied { .. })));
        let tried = enrol(folder.path(), Some(link()), steps()).await;
        tried.outcome.unwrap();
        assert_eq!(tried.bodies[0]["copy_of"], DEVICE);
        assert_ne!(tried.bodies[0]["public_key"], json!(key));
    }

    #[tokio::test]
    async fn a_machine_whose_old_worker_was_just_heard_of_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let steps = vec![challenge(), refusal(409, "device-at-work"), challenge(), registered()];
        let tried = enrol(folder.path(), Some(link()), steps).await;
        tried.outcome.unwrap();
        assert_eq!((tried.bodies.len(), tried.offline), (2, 1));
    }

    #[tokio::test]
    async fn a_code_that_does_not_count_ends_the_worker_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let steps = vec![challenge(), refusal(403, "join-code-not-open")];
        let tried = enrol(folder.path(), Some(link()), steps).await;
        assert!(
            matches!(tried.outcome, Err(WorkerError::Refused(problem)) if problem.status == 403)
        );
        let tried = enrol(folder.path(), None, vec![]).await;
        assert!(matches!(tried.outcome, Err(WorkerError::NotRegistered)));
    }

    #[tokio::test]
    async fn a_link_of_another_cluster_moves_the_device() {
        let folder = tempfile::tempdir().unwrap();
        let steps = || vec![challenge(), registered()];
        enrol(folder.path(), Some(link()), steps()).await.outcome.unwrap();
        let other = JoinCode { cluster_id: Uuid::from_u128(2), ..code() };
        let join = Some(Join::Link(Box::new(other)));
        let tried = enrol(folder.path(), join, steps()).await;
        assert_eq!(tried.outcome.unwrap().cluster.id, Uuid::from_u128(2).to_string());
        assert_eq!(tried.bodies.len(), 1);
    }
}
