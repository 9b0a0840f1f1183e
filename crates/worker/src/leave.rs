//! Leaving the cluster for good: what this device keeps of the company's work is destroyed, the
//! coordinator is told, and nothing here remembers the enrolment.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use platform::FolderLock;
use protocol::DeviceId;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::answer::RequestError;
use crate::client::Client;
use crate::identity::{Enrolment, Identity};
use crate::{WorkerError, key, memory, vault};

/// For a coordinator that doesn't answer. Leaving doesn't depend on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What leaving did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Who this device was; none where it was enrolled nowhere.
    pub device: Option<DeviceId>,
    pub coordinator: Farewell,
    /// Of files that were removed.
    pub bytes: u64,
}

/// What the coordinator knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Farewell {
    /// There was nobody to tell.
    NotEnrolled,
    /// The device is off its list.
    Told,
    /// It had let the device go before.
    KnewAlready,
    /// It still lists the device.
    NotReached { reason: String },
}

/// Leaves, whether the coordinator answers or not. Doing it again does no harm.
///
/// # Errors
/// A worker runs in this folder, or something in it can't be removed. The key is the first to go:
/// where it is gone, the rest of the work can't be opened by anybody.
pub async fn leave(
    data_dir: &Path,
    coordinator: watch::Receiver<Option<String>>,
) -> Result<Left, WorkerError> {
    if !data_dir.exists() {
        return Ok(Left { device: None, coordinator: Farewell::NotEnrolled, bytes: 0 });
    }
    let _lock = FolderLock::take(data_dir)?;
    let disk = |source| WorkerError::Disk { path: data_dir.to_owned(), source };
    let bytes = vault::destroy(data_dir).map_err(disk)?;
    // A file that can't be read names nobody to say farewell for; it goes all the same.
    let enrolment = Identity::load(data_dir).ok().and_then(|identity| identity.enrolment);
    let device = enrolment.as_ref().map(|enrolment| enrolment.device);
    let farewell = match enrolment {
        None => Farewell::NotEnrolled,
        Some(enrolment) => {
            let client = Client::new(coordinator, Some(enrolment.cluster.pin));
            client.set_token(Some(enrolment.token));
            say_farewell(&client, enrolment.device, PATIENCE).await
        }
    };
    Identity::forget(data_dir)?;
    memory::forget(data_dir).map_err(disk)?;
    key::forget(data_dir).map_err(disk)?;
    Ok(Left { device, coordinator: farewell, bytes })
}

/// Leaves the cluster of `kept` for another one that has taken this device already: tells the old
/// coordinator where it was last, and destroys what the device keeps of its work. The caller holds the
/// folder and keeps the new enrollment.
pub(crate) async fn for_another(data_dir: &Path, kept: &Enrolment) -> Result<Left, WorkerError> {
    let disk = |source| WorkerError::Disk { path: data_dir.to_owned(), source };
    let bytes = vault::destroy(data_dir).map_err(disk)?;
    let reason = "it is not known where it is".to_owned();
    let mut coordinator = Farewell::NotReached { reason };
    let addresses = &kept.cluster.addresses;
    let each = PATIENCE / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        let url = watch::channel(Some(format!("https://{address}"))).1;
        let client = Client::new(url, Some(kept.cluster.pin));
        client.set_token(Some(kept.token.clone()));
        coordinator = say_farewell(&client, kept.device, each).await;
        match coordinator {
            Farewell::Told | Farewell::KnewAlready => break,
            Farewell::NotEnrolled | Farewell::NotReached { .. } => {}
        }
    }
    memory::forget(data_dir).map_err(disk)?;
    Ok(Left { device: Some(kept.device), coordinator, bytes })
}

async fn say_farewell(client: &Client, device: DeviceId, patience: Duration) -> Farewell {
    let last = Mutex::new("no answer in time".to_owned());
    let failed = |error: &RequestError| {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    };
    // Somebody else in its place is not waited for: a person waits here.
    let ask = || async {
        match client.leave(device).await {
            Err(error @ RequestError::WrongPin(_)) => Ok(Err(error)),
            other => other.map(Ok),
        }
    };
    match timeout(patience, client.until_answered(ask, &failed)).await {
        Ok(Ok(Ok(()))) => Farewell::Told,
        Ok(Err(error)) if error.lets_go().is_some() => Farewell::KnewAlready,
        Ok(Err(error) | Ok(Err(error))) => Farewell::NotReached { reason: error.to_string() },
        Err(_) => {
            let reason = last.into_inner().unwrap_or_else(PoisonError::into_inner);
            Farewell::NotReached { reason }
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
        let left = leave(folder.path(), known(&server.url)).await.unwrap();
        let expected = Left { device: Some(device()), coordinator: Farewell::Told, bytes: 100 };
        assert_eq!(left, expected);
        let asked = server.asked();
        assert_eq!(asked[0].line(), format!("POST /devices/{}/leave HTTP/1.1", device()));
        assert_eq!(asked[0].header("authorization"), Some("Bearer secret"));
        assert_eq!(files(folder.path()), ["lock"]);

        let again = leave(folder.path(), known(&server.url)).await.unwrap();
        assert_eq!((again.coordinator, again.bytes), (Farewell::NotEnrolled, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn leaving_works_without_the_coordinator_and_says_so() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let pin = Pin::of_public_key(b"x");
        for url in [Some(format!("https://{gone}")), None] {
            let folder = worked_in(pin);
            let left = leave(folder.path(), watch::channel(url).1).await.unwrap();
            assert!(matches!(left.coordinator, Farewell::NotReached { .. }), "{left:?}");
            assert_eq!(files(folder.path()), ["lock"]);
        }
    }

    #[tokio::test]
    async fn a_coordinator_that_let_it_go_before_is_no_obstacle() {
        let server = Server::start(vec![Step::answer("401 Unauthorized", "", b"")]).await;
        let folder = worked_in(server.pin);
        let left = leave(folder.path(), known(&server.url)).await.unwrap();
        assert_eq!(left.coordinator, Farewell::KnewAlready);
    }

    #[tokio::test]
    async fn whoever_answers_in_the_coordinator_s_place_is_told_nothing() {
        let other = Server::start(vec![Step::answer("204 No Content", "", b"")]).await;
        let folder = worked_in(Pin::of_public_key(b"x"));
        let left = leave(folder.path(), known(&other.url)).await.unwrap();
        let Farewell::NotReached { reason } = left.coordinator else { panic!("{left:?}") };
        assert!(reason.contains(&other.pin.to_string()), "{reason}");
        assert!(other.asked().is_empty());
        assert_eq!(files(folder.path()), ["lock"]);
    }

    #[tokio::test]
    async fn a_folder_in_work_is_not_left() {
        let folder = worked_in(Pin::of_public_key(b"x"));
        let _running = FolderLock::take(folder.path()).unwrap();
        let before = files(folder.path());
        let error = leave(folder.path(), watch::channel(None).1).await.unwrap_err();
        assert!(error.to_string().contains("stop that one"), "{error}");
        assert_eq!(files(folder.path()), before);
    }

    #[tokio::test]
    async fn a_folder_that_never_was_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        let left = leave(&none, watch::channel(None).1).await.unwrap();
        assert_eq!(left.coordinator, Farewell::NotEnrolled);
        assert!(!none.exists());
    }

    /// A data folder with an enrolment, a key and a file in the cache.
    fn worked_in(pin: Pin) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        enrolled(folder.path(), pin);
        vault::key(folder.path()).unwrap();
        fs::create_dir_all(vault::cache(folder.path())).unwrap();
        fs::write(vault::cache(folder.path()).join("blob"), [0; 100]).unwrap();
        folder
    }

    fn known(url: &str) -> watch::Receiver<Option<String>> {
        watch::channel(Some(url.to_owned())).1
    }

    /// Every file below the folder.
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
