//! Single instance of the app per data folder. A lock in the folder marks the running app, and a socket beside
//! it receives the arguments of later starts. Both belong to the user; other accounts can't hold them.

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
/// Maximum size of a message in bytes, including the line break.
const LONGEST: usize = 16 << 10;
/// Timeout for the running app to answer a later start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between attempts to reach an app that is starting or exiting.
const AGAIN: Duration = Duration::from_millis(50);
/// Timeout for a later start to send its arguments.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Result of starting the app.
#[derive(Debug)]
pub enum Start {
    /// No app was running in this folder. This process is the app now.
    First(SingleInstance),
    /// The running app accepted the arguments.
    HandedOver,
}

/// Holds the lock of a data folder while it exists.
#[derive(Debug)]
pub struct SingleInstance {
    lock: FolderLock,
    listener: io::Result<UnixListener>,
}

/// Reason why the app can't start. Another one may be running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Folder(#[from] LockError),
    #[error("the arguments are longer than {LONGEST} bytes, the maximum for a running app")]
    ArgumentsTooLong,
    #[error(
        "Constellation is already running, and the path {} is too long for its socket: use \
         the menu-bar icon, or a --data-dir with a shorter path", path.display()
    )]
    PathTooLong { path: PathBuf },
    #[error(
        "Constellation is already running in {} and does not respond: quit it, then start it again",
        folder.display()
    )]
    NoAnswer { folder: PathBuf },
    /// The running app received the arguments and can't act on them.
    #[error("{0}")]
    Refused(String),
}

/// Request of a later start.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    arguments: Vec<String>,
}

/// Response of the running app. `null` if it did what was requested.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    refusal: Option<String>,
}

/// Becomes the app of `folder`, or hands `arguments` over to the running one.
///
/// # Errors
/// See [`StartError`]. Nothing was started in that case.
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
        let handed_over = async { hand_over(UnixStream::connect(&socket).await?, &request).await };
        match timeout_at(deadline, handed_over).await {
            Ok(Ok(Answer { refusal: None })) => return Ok(Start::HandedOver),
            Ok(Ok(Answer { refusal: Some(why) })) => return Err(StartError::Refused(why)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(StartError::PathTooLong { path: socket });
            }
            // The other app is starting, or it exits, perhaps after it accepted the connection.
            Ok(Err(_)) if Instant::now() < deadline => sleep(AGAIN).await,
            Ok(Err(_)) | Err(_) => return Err(no_answer()),
        }
    }
}

impl SingleInstance {
    /// Returns the reason why later starts can't reach this app. `None` if they can.
    pub fn problem(&self) -> Option<String> {
        let error = self.listener.as_ref().err()?;
        Some(format!(
            "Starting Constellation again can't show this app: {error}. A --data-dir with a \
             shorter path may help."
        ))
    }

    /// Handles the arguments of later starts until the runtime ends. `ask` returns why it can't act on
    /// them.
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
                    tracing::warn!(%error, "can't handle a later start of the app");
                    sleep(AGAIN).await;
                }
            }
        });
    }
}

/// Creates the folder, readable only by its owner, if it doesn't exist.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Listens on the socket. The holder of the lock replaces the socket of an earlier app.
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

/// Checks that both ends belong to one user, because links contain secrets and arguments are commands.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let (peer, own) = (stream.peer_cred()?.uid(), platform::account::user_id());
    if peer == own {
        return Ok(());
    }
    let words = format!("the socket's peer is user {peer}, not user {own}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

/// Returns the message as a line. `None` if it is too long.
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
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the message is incomplete or too long",
        ));
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

    /// The app accepts connections but never answers, as a hanging process does.
    #[tokio::test(start_paused = true)]
    async fn an_app_that_does_not_answer_is_named_and_nothing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let _silent = first(folder.path()).await;
        let error = start(folder.path(), vec![]).await.unwrap_err();
        assert!(matches!(error, StartError::NoAnswer { .. }), "{error}");
        assert!(error.to_string().contains("quit it"), "{error}");
    }

    /// A killed process keeps its lock and its socket for a moment.
    #[tokio::test]
    async fn an_app_that_ends_without_an_answer_is_succeeded() {
        let folder = tempfile::tempdir().unwrap();
        let SingleInstance { lock, listener } = first(folder.path()).await;
        let ends = async {
            drop(listener.unwrap().accept().await.unwrap());
            drop(lock);
        };
        let (next, ()) = tokio::join!(start(folder.path(), vec![]), ends);
        assert!(matches!(next.unwrap(), Start::First(_)));
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
        // The app may close the connection before it has received everything.
        drop(stream.write_all(&whole).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert_eq!(answer, b"");
        // The app still serves and has not received the message.
        start(folder.path(), arguments(&["short"])).await.unwrap();
        assert_eq!(told.recv().unwrap(), ["short"]);
    }
}
