//! Enrollment of the device: uses the stored enrollment, or enrolls with a join code.

mod register;
#[cfg(test)]
mod tests;

use platform::DeviceFacts;
use protocol::DeviceId;
use protocol::enrollment::Session;
use protocol::join::{Join, JoinCode};
use protocol::text;
use protocol::trainer::Ready;

use crate::client::Client;
use crate::identity::{Cluster, Enrollment, Identity};
use crate::key::DeviceKey;
use crate::status::{Status, StatusReporter};
use crate::typed_code_join::by_typed_code;
use crate::{JoinSource, WorkerError, WorkerSettings, unenroll};
use register::Applicant;
pub(crate) use register::refused;

/// Returns the stored enrollment, or a new one.
pub(crate) async fn enrolled(
    settings: &WorkerSettings,
    client: &Client,
    reporter: &StatusReporter<'_>,
    identity: &mut Identity,
    ready: &Ready,
    session: &Session,
) -> Result<Enrollment, WorkerError> {
    let facts = DeviceFacts::read();
    // The computer's name may contain any characters, but the coordinator accepts only visible ones.
    let name = text::cleaned(&settings.name.clone().unwrap_or_else(|| facts.name.clone()));
    let name = if name.is_empty() { "unnamed".to_owned() } else { name };
    let hardware_id = identity.hardware_id()?;
    if let Some(kept) = &identity.enrollment {
        client.set_pin(settings.pin.unwrap_or(kept.cluster.pin));
    }
    let copy_of = left_by_another(identity, &hardware_id, settings.instance);
    let applicant =
        Applicant { settings, client, reporter, ready, session, facts, name, hardware_id };
    let kept = identity.enrollment.clone();
    let enrollment = match (kept, &settings.join, copy_of) {
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
                    tracing::warn!(%device, "this data folder is a copy; creating a new key");
                    DeviceKey::generate()?
                }
                None => DeviceKey::open(&settings.data_dir)?,
            };
            let cluster = cluster(client, reporter, join, kept.as_ref()).await?;
            let known_as = kept.map(|kept| kept.device);
            let (enrollment, key) =
                applicant.register(join.secret(), cluster, key, copy_of, known_as).await?;
            key.keep(&settings.data_dir)?;
            identity.enroll(Some(enrollment.clone()))?;
            enrollment
        }
    };
    reporter.report(&Status::Registered { device: enrollment.device, name: applicant.name });
    Ok(enrollment)
}

/// Returns the stored enrollment, renewed if the device's compute fingerprint has changed. A code that
/// fails leaves the enrollment unchanged.
async fn renewed(
    applicant: &Applicant<'_>,
    identity: &mut Identity,
    kept: Enrollment,
    join: Option<&Join>,
) -> Result<Enrollment, WorkerError> {
    if kept.fingerprint == applicant.ready.fingerprint {
        return Ok(kept);
    }
    let Some(join) = join else {
        tracing::warn!(
            "the compute backend or hardware changed since this device was enrolled; it may get no work until \
             it is enrolled again with --join"
        );
        return Ok(kept);
    };
    let folder = &applicant.settings.data_dir;
    let cluster = match join {
        Join::Link(code) => code.as_ref().into(),
        // The learned pin is valid as long as the enrollment is stored.
        Join::Typed(_) => kept.cluster.clone(),
    };
    let key = DeviceKey::open(folder)?;
    match applicant.register(join.secret(), cluster, key, None, Some(kept.device)).await {
        Ok((enrollment, key)) => {
            key.keep(folder)?;
            identity.enroll(Some(enrollment.clone()))?;
            Ok(enrollment)
        }
        Err(error) => {
            tracing::warn!(%error, "the join code failed; this device keeps its enrollment");
            applicant.reporter.report(&Status::JoinFailed { reason: error.to_string() });
            let trusted = applicant.settings.pin.unwrap_or(kept.cluster.pin);
            applicant.client.set_pin(trusted);
            Ok(kept)
        }
    }
}

/// Moves the device to the cluster of the organization's code. Registers with the new cluster first, so
/// that a code that fails changes nothing, and then leaves the old cluster.
async fn moved(
    applicant: &Applicant<'_>,
    identity: &mut Identity,
    kept: Enrollment,
    code: &JoinCode,
) -> Result<Enrollment, WorkerError> {
    let folder = &applicant.settings.data_dir;
    // Each cluster gets a separate key.
    let key = DeviceKey::generate()?;
    let registered = applicant.register(&code.secret, code.into(), key, None, None).await;
    let (enrollment, key) = registered.map_err(|reason| WorkerError::NotMoved {
        cluster: kept.cluster.name.clone(),
        reason: Box::new(reason),
    })?;
    let left = unenroll::for_another(folder, &kept).await?;
    tracing::info!(from = kept.cluster.name, to = enrollment.cluster.name, ?left, "moved");
    key.keep(folder)?;
    identity.enroll(Some(enrollment.clone()))?;
    Ok(enrollment)
}

/// Returns the device from whose data folder this one was copied. `None` if it was not copied.
fn left_by_another(identity: &Identity, hardware_id: &str, instance: u32) -> Option<DeviceId> {
    let kept = identity.enrollment.as_ref()?;
    (!kept.is_of(hardware_id, instance)).then_some(kept.device)
}

/// Returns the join code if it belongs to another cluster than the device's. A typed code names no cluster.
/// Cluster ids are not secret, so a link with another key belongs to another cluster, whatever id it has.
fn of_another<'a>(settings: &'a WorkerSettings, kept: &Enrollment) -> Option<&'a JoinCode> {
    match settings.join.as_ref()? {
        Join::Link(code) => {
            let is_same = code.cluster_id.to_string() == kept.cluster.id
                && (settings.pin.is_some() || code.pin == kept.cluster.pin);
            (!is_same).then_some(code)
        }
        Join::Typed(_) => None,
    }
}

/// Returns the cluster of the code.
async fn cluster(
    client: &Client,
    reporter: &StatusReporter<'_>,
    join: &Join,
    kept: Option<&Enrollment>,
) -> Result<Cluster, WorkerError> {
    match (join, kept) {
        (Join::Link(code), _) => Ok(code.as_ref().into()),
        // The learned pin is valid as long as the enrollment is stored.
        (Join::Typed(_), Some(kept)) => Ok(kept.cluster.clone()),
        (Join::Typed(secret), None) => by_typed_code(client, reporter, secret).await,
    }
}
