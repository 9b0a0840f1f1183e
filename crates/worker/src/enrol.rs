//! Enrollment of the device: the one that is kept, or a new one by a join code.

mod register;
#[cfg(test)]
mod tests;

use platform::DeviceFacts;
use protocol::DeviceId;
use protocol::enrolment::Session;
use protocol::join::{Join, JoinCode};
use protocol::text;
use protocol::trainer::Ready;

use crate::client::Client;
use crate::first_contact::by_typed_code;
use crate::identity::{Cluster, Enrolment, Identity};
use crate::key::DeviceKey;
use crate::status::{Status, Voice};
use crate::{JoinSource, Settings, WorkerError, leave};
use register::Applicant;
pub(crate) use register::refused;

/// The device's enrollment: the one that is kept, or a new one.
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
    let name = text::cleaned(&settings.name.clone().unwrap_or_else(|| facts.name.clone()));
    let name = if name.is_empty() { "unnamed".to_owned() } else { name };
    let hardware_id = identity.hardware_id()?;
    if let Some(kept) = &identity.enrolment {
        client.set_pin(settings.pin.unwrap_or(kept.cluster.pin));
    }
    let copy_of = left_by_another(identity, &hardware_id, settings.instance);
    let applicant = Applicant { settings, client, voice, ready, session, facts, name, hardware_id };
    let kept = identity.enrolment.clone();
    let enrolment = match (kept, &settings.join, copy_of) {
        (Some(_), None, Some(_)) => return Err(WorkerError::Copied { path: identity.path() }),
        (None, None, _) => return Err(WorkerError::NotRegistered),
        (Some(kept), join, None) => match (of_another(settings, &kept), settings.join_source) {
            (None, _) => renewed(&applicant, identity, kept, join.as_ref()).await?,
            (Some(_), JoinSource::Person) => {
                return Err(WorkerError::BelongsTo { cluster: kept.cluster.name });
            }
            (Some(code), JoinSource::Managed) => moved(&applicant, identity, kept, code).await?,
        },
        (kept, Some(join), copy_of) => {
            let key = match copy_of {
                Some(device) => {
                    tracing::warn!(%device, "this data folder is a copy: making a key of its own");
                    DeviceKey::generate()?
                }
                None => DeviceKey::of(&settings.data_dir)?,
            };
            let cluster = cluster(client, voice, join, kept.as_ref()).await?;
            let known_as = kept.map(|kept| kept.device);
            let (enrolment, key) =
                applicant.register(join.secret(), cluster, key, copy_of, known_as).await?;
            key.keep(&settings.data_dir)?;
            identity.enrol(Some(enrolment.clone()))?;
            enrolment
        }
    };
    voice.say(&Status::Registered { device: enrolment.device, name: applicant.name });
    Ok(enrolment)
}

/// Keeps the enrollment, or renews it where the device computes otherwise than it registered with.
/// A code that fails leaves the enrollment as it is.
async fn renewed(
    applicant: &Applicant<'_>,
    identity: &mut Identity,
    kept: Enrolment,
    join: Option<&Join>,
) -> Result<Enrolment, WorkerError> {
    if kept.fingerprint == applicant.ready.fingerprint {
        return Ok(kept);
    }
    let Some(join) = join else {
        tracing::warn!(
            "this device computes otherwise than when it was enrolled; it may get no work until \
             it is enrolled again with --join"
        );
        return Ok(kept);
    };
    let folder = &applicant.settings.data_dir;
    let cluster = match join {
        Join::Link(code) => code.as_ref().into(),
        // The pin that was learned counts for as long as the enrollment is kept.
        Join::Typed(_) => kept.cluster.clone(),
    };
    let key = DeviceKey::of(folder)?;
    match applicant.register(join.secret(), cluster, key, None, Some(kept.device)).await {
        Ok((enrolment, key)) => {
            key.keep(folder)?;
            identity.enrol(Some(enrolment.clone()))?;
            Ok(enrolment)
        }
        Err(error) => {
            tracing::warn!(%error, "the join code failed; this device goes on as it was enrolled");
            applicant.voice.say(&Status::JoinFailed { reason: error.to_string() });
            let trusted = applicant.settings.pin.unwrap_or(kept.cluster.pin);
            applicant.client.set_pin(trusted);
            Ok(kept)
        }
    }
}

/// Moves the device to another cluster, as the organization's code says. The new cluster takes it
/// first, so that a code that fails leaves it where it is; then it leaves the old one for good.
async fn moved(
    applicant: &Applicant<'_>,
    identity: &mut Identity,
    kept: Enrolment,
    code: &JoinCode,
) -> Result<Enrolment, WorkerError> {
    let folder = &applicant.settings.data_dir;
    // A key of its own for each cluster.
    let key = DeviceKey::generate()?;
    let registered = applicant.register(&code.secret, code.into(), key, None, None).await;
    let (enrolment, key) = registered.map_err(|reason| WorkerError::NotMoved {
        cluster: kept.cluster.name.clone(),
        reason: Box::new(reason),
    })?;
    let left = leave::for_another(folder, &kept).await?;
    tracing::info!(from = kept.cluster.name, to = enrolment.cluster.name, ?left, "moved");
    key.keep(folder)?;
    identity.enrol(Some(enrolment.clone()))?;
    Ok(enrolment)
}

/// The device whose data folder this is a copy of; none where it is its own.
fn left_by_another(identity: &Identity, hardware_id: &str, instance: u32) -> Option<DeviceId> {
    let kept = identity.enrolment.as_ref()?;
    (!kept.is_of(hardware_id, instance)).then_some(kept.device)
}

/// The join code, where it is of another cluster than the device belongs to. A typed code names none.
/// A cluster's id is no secret, so a link with another key is of another cluster, whatever id it has.
fn of_another<'a>(settings: &'a Settings, kept: &Enrolment) -> Option<&'a JoinCode> {
    match settings.join.as_ref()? {
        Join::Link(code) => {
            let is_same = code.cluster_id.to_string() == kept.cluster.id
                && (settings.pin.is_some() || code.pin == kept.cluster.pin);
            (!is_same).then_some(code)
        }
        Join::Typed(_) => None,
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
        // The pin that was learned counts for as long as the enrollment is kept.
        (Join::Typed(_), Some(kept)) => Ok(kept.cluster.clone()),
        (Join::Typed(secret), None) => by_typed_code(client, voice, secret).await,
    }
}
