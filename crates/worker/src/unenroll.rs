//! Leaving the cluster: destroys the company's data on this device, notifies the coordinator, and deletes the
//! enrollment.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use platform::FolderLock;
use protocol::DeviceId;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::Client;
use crate::identity::{Enrollment, Identity};
use crate::response::RequestError;
use crate::{WorkerError, key, memory, storage_key};

/// Timeout of the coordinator. Leaving does not depend on its answer.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// Result of leaving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnenrollReport {
    /// Device id. `None` if it was not enrolled.
    pub device: Option<DeviceId>,
    pub coordinator: UnenrollNotice,
    /// Size of the removed files in bytes.
    pub bytes: u64,
}

/// Whether the coordinator was notified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UnenrollNotice {
    /// The device was not enrolled.
    NotEnrolled,
    /// The coordinator removed the device.
    Told,
    /// The coordinator had already removed the device.
    KnewAlready,
    /// The coordinator still lists the device.
    NotReached { reason: String },
}

/// Leaves the cluster, even if the coordinator does not answer. Can be repeated.
///
/// # Errors
/// A worker runs in this folder, or something in it can't be removed. The key is deleted first:
/// without it, nobody can decrypt the remaining data.
pub async fn unenroll(
    data_dir: &Path,
    coordinator: watch::Receiver<Option<String>>,
) -> Result<UnenrollReport, WorkerError> {
    if !data_dir.exists() {
        return Ok(UnenrollReport {
            device: None,
            coordinator: UnenrollNotice::NotEnrolled,
            bytes: 0,
        });
    }
    let _lock = FolderLock::take(data_dir)?;
    let disk = |source| WorkerError::Disk { path: data_dir.to_owned(), source };
    let bytes = storage_key::destroy(data_dir).map_err(disk)?;
    // An unreadable file names no coordinator to notify. It is deleted as well.
    let enrollment = Identity::load(data_dir).ok().and_then(|identity| identity.enrollment);
    let device = enrollment.as_ref().map(|enrollment| enrollment.device);
    let farewell = match enrollment {
        None => UnenrollNotice::NotEnrolled,
        Some(enrollment) => {
            let client = Client::new(coordinator, Some(enrollment.cluster.pin));
            client.set_token(Some(enrollment.token));
            notify_coordinator(&client, enrollment.device, NOTIFY_TIMEOUT).await
        }
    };
    Identity::forget(data_dir)?;
    memory::forget(data_dir).map_err(disk)?;
    key::forget(data_dir).map_err(disk)?;
    Ok(UnenrollReport { device, coordinator: farewell, bytes })
}

/// Leaves the cluster of `kept` for another one that has already enrolled this device: notifies the old
/// coordinator at its last address and destroys the data of its work. The caller holds the lock of the folder and
/// stores the new enrollment.
pub(crate) async fn for_another(
    data_dir: &Path,
    kept: &Enrollment,
) -> Result<UnenrollReport, WorkerError> {
    let disk = |source| WorkerError::Disk { path: data_dir.to_owned(), source };
    let bytes = storage_key::destroy(data_dir).map_err(disk)?;
    let reason = "its address is unknown".to_owned();
    let mut coordinator = UnenrollNotice::NotReached { reason };
    let addresses = &kept.cluster.addresses;
    let each = NOTIFY_TIMEOUT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        let url = watch::channel(Some(format!("https://{address}"))).1;
        let client = Client::new(url, Some(kept.cluster.pin));
        client.set_token(Some(kept.token.clone()));
        coordinator = notify_coordinator(&client, kept.device, each).await;
        match coordinator {
            UnenrollNotice::Told | UnenrollNotice::KnewAlready => break,
            UnenrollNotice::NotEnrolled | UnenrollNotice::NotReached { .. } => {}
        }
    }
    memory::forget(data_dir).map_err(disk)?;
    Ok(UnenrollReport { device: Some(kept.device), coordinator, bytes })
}

async fn notify_coordinator(
    client: &Client,
    device: DeviceId,
    timeout_each: Duration,
) -> UnenrollNotice {
    let last = Mutex::new("no answer in time".to_owned());
    let failed = |error: &RequestError| {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    };
    // If another server answers at that address, there are no retries, because a person is waiting.
    let ask = || async {
        match client.leave(device).await {
            Err(error @ RequestError::WrongPin(_)) => Ok(Err(error)),
            other => other.map(Ok),
        }
    };
    match timeout(timeout_each, client.retry_until_answered(ask, &failed)).await {
        Ok(Ok(Ok(()))) => UnenrollNotice::Told,
        Ok(Err(error)) if error.unenrolled_by().is_some() => UnenrollNotice::KnewAlready,
        Ok(Err(error) | Ok(Err(error))) => UnenrollNotice::NotReached { reason: error.to_string() },
        Err(_) => {
            let reason = last.into_inner().unwrap_or_else(PoisonError::into_inner);
            UnenrollNotice::NotReached { reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use protocol::Pin;

    use super::*;
    use crate::identity::tests::enrolled;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn leaving_destroys_the_work_tells_the_coordinator_and_forgets_it() {
        let server = Server::start(vec![Step::answer("204 No Content", "", b"")]).await;
        let folder = worked_in(server.pin);
        let left = unenroll(folder.path(), known(&server.url)).await.unwrap();
        let expected = UnenrollReport {
            device: Some(device()),
            coordinator: UnenrollNotice::Told,
            bytes: 100,
        };
        assert_eq!(left, expected);
        let asked = server.requests();
        assert_eq!(asked[0].line(), format!("POST /devices/{}/leave HTTP/1.1", device()));
        assert_eq!(asked[0].header("authorization"), Some("Bearer secret"));
        assert_eq!(files(folder.path()), ["lock"]);

        let again = unenroll(folder.path(), known(&server.url)).await.unwrap();
        assert_eq!((again.coordinator, again.bytes), (UnenrollNotice::NotEnrolled, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn leaving_works_without_the_coordinator_and_says_so() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let pin = Pin::from_public_key(b"x");
        for url in [Some(format!("https://{gone}")), None] {
            let folder = worked_in(pin);
            let left = unenroll(folder.path(), watch::channel(url).1).await.unwrap();
            assert!(matches!(left.coordinator, UnenrollNotice::NotReached { .. }), "{left:?}");
            assert_eq!(files(folder.path()), ["lock"]);
        }
    }

    #[tokio::test]
    async fn a_coordinator_that_let_it_go_before_is_no_obstacle() {
        let server = Server::start(vec![Step::answer("401 Unauthorized", "", b"")]).await;
        let folder = worked_in(server.pin);
        let left = unenroll(folder.path(), known(&server.url)).await.unwrap();
        assert_eq!(left.coordinator, UnenrollNotice::KnewAlready);
    }

    #[tokio::test]
    async fn whoever_answers_in_the_coordinator_s_place_is_told_nothing() {
        let other = Server::start(vec![Step::answer("204 No Content", "", b"")]).await;
        let folder = worked_in(Pin::from_public_key(b"x"));
        let left = unenroll(folder.path(), known(&other.url)).await.unwrap();
        let UnenrollNotice::NotReached { reason } = left.coordinator else { panic!("{left:?}") };
        assert!(reason.contains(&other.pin.to_string()), "{reason}");
        assert!(other.requests().is_empty());
        assert_eq!(files(folder.path()), ["lock"]);
    }

    #[tokio::test]
    async fn a_folder_in_work_is_not_left() {
        let folder = worked_in(Pin::from_public_key(b"x"));
        let _running = FolderLock::take(folder.path()).unwrap();
        let before = files(folder.path());
        let error = unenroll(folder.path(), watch::channel(None).1).await.unwrap_err();
        assert!(error.to_string().contains("stop that one"), "{error}");
        assert_eq!(files(folder.path()), before);
    }

    #[tokio::test]
    async fn a_folder_that_never_was_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let left = unenroll(&none, watch::channel(None).1).await.unwrap();
        assert_eq!(left.coordinator, UnenrollNotice::NotEnrolled);
        assert!(!none.exists());
    }

    /// Creates a data folder with an enrollment, a key and a file in the cache.
    fn worked_in(pin: Pin) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        enrolled(folder.path(), pin);
        storage_key::key(folder.path()).unwrap();
        fs::create_dir_all(storage_key::cache(folder.path())).unwrap();
        fs::write(storage_key::cache(folder.path()).join("blob"), [0; 100]).unwrap();
        folder
    }

    fn known(url: &str) -> watch::Receiver<Option<String>> {
        watch::channel(Some(url.to_owned())).1
    }

    /// Returns every file below the folder.
    fn files(folder: &Path) -> Vec<String> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                files.extend(self::files(&entry.path()));
            } else {
                files.push(entry.file_name().into_string().unwrap());
            }
        }
        files.sort();
        files
    }
}
