//! X11 display: time since input, whether the screen is on, and full-screen windows.
//!
//! A thread sends the queries, so that a display that does not respond blocks the caller for at most
//! [`ANSWER_TIMEOUT`]. `XWayland` sees only part of the input, so it is not used
//! (`docs/decisions/0005-idle-time.md`).

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ReplyError;
use x11rb::protocol::dpms::{self, ConnectionExt as _, DPMSMode};
use x11rb::protocol::screensaver::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{Atom, AtomEnum, ConnectionExt as _, Window};
use x11rb::rust_connection::RustConnection;

/// Time limit for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);
/// Delay between attempts to open a display.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Display of a session, queried by a dedicated thread.
#[derive(Debug)]
pub(super) struct Display {
    /// Connection to the thread, or the reason why there is none.
    channel: Result<Mutex<Channel>, String>,
}

#[derive(Debug)]
struct Channel {
    queries: SyncSender<Query>,
    answers: Receiver<Result<Answer, String>>,
    /// Whether the last query timed out and its answer is still to come.
    pending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Query {
    Input,
    On,
    FullScreen,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Since(Duration),
    Flag(bool),
}

impl Display {
    /// Returns the display of the session in which this process was started.
    pub(super) fn from_session() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if is_set("WAYLAND_DISPLAY") {
            return Self { channel: Err(WAYLAND.into()) };
        }
        match std::env::var("DISPLAY") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            Ok(_) | Err(_) => {
                Self { channel: Err("there is no display (DISPLAY is not set)".into()) }
            }
        }
    }

    pub(super) fn named(name: &str) -> Self {
        let (queries, received) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let name = name.to_owned();
        let run = move || answer_all(&name, &received, &answer);
        let channel = std::thread::Builder::new()
            .name("display".into())
            .spawn(run)
            .map(|_| Mutex::new(Channel { queries, answers, pending: false }))
            .map_err(|error| format!("can't start the display thread: {error}"));
        Self { channel }
    }

    /// Time since the last input.
    pub(super) fn input(&self) -> Result<Duration, String> {
        match self.query(Query::Input)? {
            Answer::Since(since) => Ok(since),
            Answer::Flag(_) => Err(NO_ANSWER.into()),
        }
    }

    pub(super) fn is_on(&self) -> Result<bool, String> {
        self.query_flag(Query::On)
    }

    pub(super) fn is_full_screen(&self) -> Result<bool, String> {
        self.query_flag(Query::FullScreen)
    }

    fn query_flag(&self, query: Query) -> Result<bool, String> {
        match self.query(query)? {
            Answer::Flag(flag) => Ok(flag),
            Answer::Since(_) => Err(NO_ANSWER.into()),
        }
    }

    fn query(&self, query: Query) -> Result<Answer, String> {
        let channel = self.channel.as_ref().map_err(Clone::clone)?;
        let mut channel = channel.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if channel.pending {
            // Fails at once, without another query, until the late answer has arrived.
            match channel.answers.try_recv() {
                Ok(_) => channel.pending = false,
                Err(_) => return Err(NO_ANSWER.into()),
            }
        }
        if channel.queries.try_send(query).is_err() {
            return Err(NO_ANSWER.into());
        }
        match channel.answers.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                channel.pending = true;
                Err(NO_ANSWER.into())
            }
            Err(RecvTimeoutError::Disconnected) => Err("the display thread has ended".into()),
        }
    }
}

const NO_ANSWER: &str = "the display does not respond";
const WAYLAND: &str = "a Wayland session does not report it";

/// Main function of the thread. Returns when the [`Display`] is dropped.
fn answer_all(name: &str, queries: &Receiver<Query>, answers: &SyncSender<Result<Answer, String>>) {
    let mut connection: Option<DisplayConnection> = None;
    let mut failed: Option<(Instant, String)> = None;
    while let Ok(query) = queries.recv() {
        if connection.is_none() && failed.as_ref().is_none_or(|(at, _)| at.elapsed() >= RETRY_DELAY)
        {
            match DisplayConnection::new(name) {
                Ok(opened) => (connection, failed) = (Some(opened), None),
                Err(reason) => failed = Some((Instant::now(), reason)),
            }
        }
        let answer = match (&connection, &failed) {
            (Some(display), _) => display.answer(query).map_err(|error| error.to_string()),
            (None, Some((_, reason))) => Err(reason.clone()),
            (None, None) => Err(NO_ANSWER.to_owned()),
        };
        if answer.is_err() {
            // The display may have been restarted, so connect again.
            connection = None;
            let reason = answer.clone().err().unwrap_or_default();
            failed.get_or_insert((Instant::now(), reason));
        }
        if answers.send(answer).is_err() {
            return;
        }
    }
}

struct DisplayConnection {
    connection: RustConnection,
    root: Window,
    active: Atom,
    state: Atom,
    full_screen: Atom,
}

impl DisplayConnection {
    fn new(name: &str) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("display {name}: {error}");
        let (connection, screen) = x11rb::connect(Some(name)).map_err(|error| failed(&error))?;
        let root = connection.setup().roots.get(screen).map(|screen| screen.root);
        let root = root.ok_or_else(|| failed(&"it has no screen"))?;
        let has = |extension| {
            let found = connection.extension_information(extension);
            found.is_ok_and(|found| found.is_some())
        };
        let through_wayland = connection
            .query_extension(b"XWAYLAND")
            .map_err(ReplyError::from)
            .and_then(x11rb::cookie::Cookie::reply)
            .is_ok_and(|extension| extension.present);
        if through_wayland {
            return Err(WAYLAND.into());
        }
        if !has(screensaver::X11_EXTENSION_NAME) {
            return Err(failed(
                &"it lacks the MIT-SCREEN-SAVER extension, which reports idle time",
            ));
        }
        // DPMS is queried later. This call caches whether the extension exists.
        has(dpms::X11_EXTENSION_NAME);
        let atom = |name: &[u8]| -> Result<Atom, ReplyError> {
            Ok(connection.intern_atom(false, name)?.reply()?.atom)
        };
        let atoms = [&b"_NET_ACTIVE_WINDOW"[..], b"_NET_WM_STATE", b"_NET_WM_STATE_FULLSCREEN"];
        let [active, state, full_screen] = atoms.map(atom);
        let (active, state) = (active.map_err(|e| failed(&e))?, state.map_err(|e| failed(&e))?);
        let full_screen = full_screen.map_err(|error| failed(&error))?;
        Ok(Self { connection, root, active, state, full_screen })
    }

    fn answer(&self, query: Query) -> Result<Answer, ReplyError> {
        match query {
            Query::Input => {
                let info = self.connection.screensaver_query_info(self.root)?.reply()?;
                let since = Duration::from_millis(info.ms_since_user_input.into());
                Ok(Answer::Since(since))
            }
            Query::On => self.is_on().map(Answer::Flag),
            Query::FullScreen => self.is_full_screen().map(Answer::Flag),
        }
    }

    /// A display without power management is always on.
    fn is_on(&self) -> Result<bool, ReplyError> {
        if self.connection.extension_information(dpms::X11_EXTENSION_NAME)?.is_none() {
            return Ok(true);
        }
        let info = self.connection.dpms_info()?.reply()?;
        Ok(!info.state || info.power_level == DPMSMode::ON)
    }

    /// Whether the window manager reports the active window as full screen.
    fn is_full_screen(&self) -> Result<bool, ReplyError> {
        let property = |window, property, kind: AtomEnum| -> Result<Vec<u32>, ReplyError> {
            let cookie = self.connection.get_property(false, window, property, kind, 0, 64)?;
            Ok(cookie.reply()?.value32().into_iter().flatten().collect())
        };
        let active = property(self.root, self.active, AtomEnum::WINDOW)?.first().copied();
        let Some(window) = active.filter(|window| *window != x11rb::NONE) else {
            return Ok(false);
        };
        match property(window, self.state, AtomEnum::ATOM) {
            Ok(states) => Ok(states.contains(&self.full_screen)),
            // The window was closed meanwhile.
            Err(ReplyError::X11Error(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_display_is_an_error() {
        let display = Display::named(":47");
        for _ in 0..3 {
            assert!(display.input().is_err());
        }
        assert!(display.is_full_screen().unwrap_err().contains("display"));
    }
}
