//! One app for each data folder: a lock in the folder says who runs, and a socket beside it takes the
//! arguments of every later start. Both are the user's own; no other account can hold them.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use platform::{FolderLock, LockError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

const LOCK: &str = "app.lock";
const SOCKET: &str = "app.sock";
/// Bytes of a message, its end of line included.
const LONGEST: usize = 16 << 10;
/// For the app that runs to take the arguments of a later start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries to reach an app that starts or ends just now.
const AGAIN: Duration = Duration::from_millis(50);
/// For a later start to say its arguments.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// What a start of the app found.
#[derive(Debug)]
pub enum Start {
    /// No app runs in this folder: this one does now.
    First(SingleInstance),
    /// The app that runs there took the arguments.
    HandedOver,
}

/// The app of a data folder, for as long as it lives.
#[derive(Debug)]
pub struct SingleInstance {
    lock: FolderLock,
    listener: io::Result<UnixListener>,
}

/// Why an app can't start, where another one may be at work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Folder(#[from] LockError),
    #[error("the arguments are longer than the {LONGEST} bytes that a running app takes")]
    ArgumentsTooLong,
    #[error(
        "Constellation runs already, and the path {} is too long for a socket to reach it by: use \
         its icon, or give a --data-dir with a shorter path", path.display()
    )]
    PathTooLong { path: PathBuf },
    #[error(
        "Constellation runs already in {} and does not answer: quit it, then start it again",
        folder.display()
    )]
    NoAnswer { folder: PathBuf },
    /// The app that runs took the arguments and can't do what they ask.
    #[error("{0}")]
    Refused(String),
}

/// What a later start says.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    arguments: Vec<String>,
}

/// What the app that runs answers; null where it does what was asked.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    refusal: Option<String>,
}

/// Becomes the app of `folder`, or hands `arguments` over to the one that is.
///
/// # Errors
/// See [`StartError`]: nothing was started then.
pub async fn start(folder: &Path, arguments: Vec<String>) -> Result<Start, StartError> {
    let request = line(&Request { arguments }).ok_or(StartError::ArgumentsTooLong)?;
    make_private(folder).map_err(|source| LockError::Io { folder: folder.to_owned(), source })?;
    let socket = folder.join(SOCKET);
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let no_answer = || StartError::NoAnswer { folder: folder.to_owned() };
    loop {
        match FolderLock::take_file(folder, LOCK) {
            Ok(lock) => {
                let listener = listen(&socket);
                return Ok(Start::First(SingleInstance { lock, listener }));
            }
            Err(LockError::Taken { .. }) => {}
            Err(error @ LockError::Io { .. }) => return Err(error.into()),
        }
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                let asked = timeout_at(deadline, hand_over(stream, &request)).await;
                let Ok(Ok(Answer { refusal })) = asked else { return Err(no_answer()) };
                return refusal.map_or(Ok(Start::HandedOver), |why| Err(StartError::Refused(why)));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(StartError::PathTooLong { path: socket });
            }
            // It starts or ends just now.
            Err(_) if Instant::now() < deadline => sleep(AGAIN).await,
            Err(_) => return Err(no_answer()),
        }
    }
}

impl SingleInstance {
    /// Why later starts can't reach this app; none where they can.
    pub fn problem(&self) -> Option<String> {
        let error = self.listener.as_ref().err()?;
        Some(format!(
            "Starting Constellation again does not show this app: {error}. A --data-dir with a \
             shorter path may help."
        ))
    }

    /// Takes the arguments of later starts until the runtime ends; `ask` says why it can't do what
    /// they ask.
    pub fn serve(
        self,
        runtime: &Handle,
        ask: impl Fn(Vec<String>) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let Self { lock, listener } = self;
        runtime.spawn(async move {
            let _lock = lock;
            let Ok(listener) = listener else { return std::future::pending().await };
            loop {
                let served = match listener.accept().await {
                    Ok((stream, _)) => serve(stream, &ask).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = served {
                    tracing::warn!(%error, "a later start of the app could not be served");
                    sleep(AGAIN).await;
                }
            }
        });
    }
}

/// The folder, readable by its owner alone where it has to be made.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whoever holds the lock replaces the socket that an earlier app left.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn hand_over(mut stream: UnixStream, request: &[u8]) -> io::Result<Answer> {
    check_peer(&stream)?;
    stream.write_all(request).await?;
    read_line(&mut stream).await
}

async fn serve(
    mut stream: UnixStream,
    ask: &impl Fn(Vec<String>) -> Result<(), String>,
) -> io::Result<()> {
    check_peer(&stream)?;
    let request = timeout(REQUEST_TIMEOUT, read_line::<Request>(&mut stream)).await;
    let Request { arguments } = request.map_err(io::Error::from)??;
    let answer = line(&Answer { refusal: ask(arguments).err() }).unwrap_or_default();
    timeout(REQUEST_TIMEOUT, stream.write_all(&answer)).await.map_err(io::Error::from)?
}

/// Links carry secrets, and arguments are orders: both ends are of one user.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let (peer, own) = (stream.peer_cred()?.uid(), platform::account::user_id());
    if peer == own {
        return Ok(());
    }
    let words = format!("user {peer} is at the other end of the socket, not user {own}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

/// The message as a line; none where it is too long.
fn line(message: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(message).ok()?;
    bytes.push(b'\n');
    (bytes.len() <= LONGEST).then_some(bytes)
}

async fn read_line<T: for<'a> Deserialize<'a>>(stream: &mut UnixStream) -> io::Result<T> {
    let mut bytes = Vec::new();
    let bound = LONGEST.try_into().unwrap_or(u64::MAX);
    BufReader::new(stream.take(bound)).read_until(b'\n', &mut bytes).await?;
    if bytes.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "half a message, or too long"));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn arguments(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    async fn first(folder: &Path) -> SingleInstance {
        match start(folder, vec![]).await.unwrap() {
            Start::First(instance) => instance,
            Start::HandedOver => panic!("another app runs in {}", folder.display()),
        }
    }

    #[tokio::test]
    async fn two_starts_in_one_folder_are_one_app_and_the_arguments_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = mpsc::channel();
        first(folder.path()).await.serve(&Handle::current(), move |arguments| {
            tell.send(arguments).unwrap();
            Ok(())
        });
        let given = arguments(&["app", "constellation://join/…", "--show", "a\nb"]);
        let second = start(folder.path(), given.clone()).await.unwrap();
        assert!(matches!(second, Start::HandedOver), "{second:?}");
        assert_eq!(told.recv().unwrap(), given);

        let other = tempfile::tempdir().unwrap();
        first(other.path()).await;
    }

    #[tokio::test]
    async fn what_the_app_refuses_is_said_by_the_start_that_asked() {
        let folder = tempfile::tempdir().unwrap();
        first(folder.path()).await.serve(&Handle::current(), |_| Err("not that".into()));
        let error = start(folder.path(), vec![]).await.unwrap_err();
        assert_eq!(error.to_string(), "not that");
    }

    #[tokio::test]
    async fn lock_and_socket_are_their_owner_s_and_a_stale_socket_is_replaced() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("data");
        drop(first(&folder).await);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(SOCKET)), 0o600);

        let instance = first(&folder).await;
        assert_eq!(instance.problem(), None);
        instance.serve(&Handle::current(), |_| Ok(()));
        assert!(matches!(start(&folder, vec![]).await, Ok(Start::HandedOver)));
    }

    /// It takes connections, as a process that hangs does, and never answers.
    #[tokio::test(start_paused = true)]
    async fn an_app_that_does_not_answer_is_named_and_nothing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let _silent = first(folder.path()).await;
        let error = start(folder.path(), vec![]).await.unwrap_err();
        assert!(matches!(error, StartError::NoAnswer { .. }), "{error}");
        assert!(error.to_string().contains("quit it"), "{error}");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_for_a_socket_is_said_by_both() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("long".repeat(30));
        let instance = first(&folder).await;
        assert!(instance.problem().unwrap().contains("shorter path"));
        let error = start(&folder, vec![]).await.unwrap_err();
        assert!(matches!(error, StartError::PathTooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_message_is_bounded_at_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, told) = mpsc::channel();
        first(folder.path()).await.serve(&Handle::current(), move |arguments| {
            tell.send(arguments).unwrap();
            Ok(())
        });
        let long = arguments(&[&"x".repeat(LONGEST)]);
        let error = start(folder.path(), long.clone()).await.unwrap_err();
        assert!(matches!(error, StartError::ArgumentsTooLong), "{error}");

        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).await.unwrap();
        let whole = serde_json::to_vec(&Request { arguments: long }).unwrap();
        // The app may hang up before it has all of it.
        drop(stream.write_all(&whole).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert_eq!(answer, b"");
        // It serves on, and heard nothing of that.
        start(folder.path(), arguments(&["short"])).await.unwrap();
        assert_eq!(told.recv().unwrap(), ["short"]);
    }
}
