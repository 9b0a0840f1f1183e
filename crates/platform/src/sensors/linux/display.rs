//! The X display: input, whether the screen is on, what fills it.
//!
//! A thread asks, so that a display which doesn't answer holds nobody up for longer than
//! [`PATIENCE`]. Through `XWayland` a display knows only of part of the input, so it isn't asked
//! (docs/decisions/0005-idle-time.md).

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::ReplyError;
use x11rb::protocol::dpms::{self, ConnectionExt as _, DPMSMode};
use x11rb::protocol::screensaver::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{Atom, AtomEnum, ConnectionExt as _, Window};
use x11rb::rust_connection::RustConnection;

/// For one answer.
const PATIENCE: Duration = Duration::from_millis(50);
/// Between two attempts to open a display.
const AGAIN: Duration = Duration::from_secs(10);

/// The display of a session, asked by a thread of its own.
#[derive(Debug)]
pub(super) struct Display {
    /// The reason for which none is asked.
    asking: Result<Mutex<Asking>, String>,
}

#[derive(Debug)]
struct Asking {
    questions: SyncSender<Question>,
    answers: Receiver<Result<Answer, String>>,
    /// A question whose answer didn't come in time.
    late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Question {
    Input,
    On,
    FullScreen,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Since(Duration),
    Yes(bool),
}

impl Display {
    /// The one that this process was started in.
    pub(super) fn of_session() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if is_set("WAYLAND_DISPLAY") {
            return Self { asking: Err("a Wayland session doesn't tell".into()) };
        }
        match std::env::var("DISPLAY") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            Ok(_) | Err(_) => {
                Self { asking: Err("there is no display (DISPLAY is not set)".into()) }
            }
        }
    }

    pub(super) fn named(name: &str) -> Self {
        let (questions, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let name = name.to_owned();
        let run = move || answer_all(&name, &asked, &answer);
        let asking = std::thread::Builder::new()
            .name("display".into())
            .spawn(run)
            .map(|_| Mutex::new(Asking { questions, answers, late: false }))
            .map_err(|error| format!("no thread to ask the display: {error}"));
        Self { asking }
    }

    /// Time since the last input.
    pub(super) fn input(&self) -> Result<Duration, String> {
        match self.ask(Question::Input)? {
            Answer::Since(since) => Ok(since),
            Answer::Yes(_) => Err(LATE.into()),
        }
    }

    pub(super) fn is_on(&self) -> Result<bool, String> {
        self.yes(Question::On)
    }

    pub(super) fn is_full_screen(&self) -> Result<bool, String> {
        self.yes(Question::FullScreen)
    }

    fn yes(&self, question: Question) -> Result<bool, String> {
        match self.ask(question)? {
            Answer::Yes(yes) => Ok(yes),
            Answer::Since(_) => Err(LATE.into()),
        }
    }

    fn ask(&self, question: Question) -> Result<Answer, String> {
        let asking = self.asking.as_ref().map_err(Clone::clone)?;
        let mut asking = asking.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if asking.late {
            // Nothing more is asked, and nobody waits, before it has answered.
            match asking.answers.try_recv() {
                Ok(_) => asking.late = false,
                Err(_) => return Err(LATE.into()),
            }
        }
        if asking.questions.try_send(question).is_err() {
            return Err(LATE.into());
        }
        match asking.answers.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                asking.late = true;
                Err(LATE.into())
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err("the display can't be asked any more".into())
            }
        }
    }
}

const LATE: &str = "the display doesn't answer";

/// The thread: ends with the display's owner.
fn answer_all(name: &str, asked: &Receiver<Question>, answer: &SyncSender<Result<Answer, String>>) {
    let mut open: Option<Open> = None;
    let mut failed: Option<(Instant, String)> = None;
    while let Ok(question) = asked.recv() {
        if open.is_none() && failed.as_ref().is_none_or(|(at, _)| at.elapsed() >= AGAIN) {
            match Open::new(name) {
                Ok(opened) => (open, failed) = (Some(opened), None),
                Err(reason) => failed = Some((Instant::now(), reason)),
            }
        }
        let said = match (&open, &failed) {
            (Some(display), _) => display.answer(question).map_err(|error| error.to_string()),
            (None, Some((_, reason))) => Err(reason.clone()),
            (None, None) => Err(LATE.to_owned()),
        };
        if said.is_err() {
            // It may be another one the next time.
            open = None;
            let reason = said.clone().err().unwrap_or_default();
            failed.get_or_insert((Instant::now(), reason));
        }
        if answer.send(said).is_err() {
            return;
        }
    }
}

struct Open {
    connection: RustConnection,
    root: Window,
    active: Atom,
    state: Atom,
    full_screen: Atom,
}

impl Open {
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
            .is_ok_and(|said| said.present);
        if through_wayland {
            return Err("a Wayland session doesn't tell".into());
        }
        if !has(screensaver::X11_EXTENSION_NAME) {
            return Err(failed(&"it has no MIT-SCREEN-SAVER extension, which counts the time"));
        }
        // DPMS is asked for when it is needed; prefetching finds out whether it is there.
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

    fn answer(&self, question: Question) -> Result<Answer, ReplyError> {
        match question {
            Question::Input => {
                let said = self.connection.screensaver_query_info(self.root)?.reply()?;
                let since = Duration::from_millis(said.ms_since_user_input.into());
                Ok(Answer::Since(since))
            }
            Question::On => self.is_on().map(Answer::Yes),
            Question::FullScreen => self.is_full_screen().map(Answer::Yes),
        }
    }

    /// A display without power management is always on.
    fn is_on(&self) -> Result<bool, ReplyError> {
        if self.connection.extension_information(dpms::X11_EXTENSION_NAME)?.is_none() {
            return Ok(true);
        }
        let said = self.connection.dpms_info()?.reply()?;
        Ok(!said.state || said.power_level == DPMSMode::ON)
    }

    /// Whether the active window fills its screen, as its window manager has it.
    fn is_full_screen(&self) -> Result<bool, ReplyError> {
        let words = |window, property, kind: AtomEnum| -> Result<Vec<u32>, ReplyError> {
            let asked = self.connection.get_property(false, window, property, kind, 0, 64)?;
            Ok(asked.reply()?.value32().into_iter().flatten().collect())
        };
        let active = words(self.root, self.active, AtomEnum::WINDOW)?.first().copied();
        let Some(window) = active.filter(|window| *window != x11rb::NONE) else {
            return Ok(false);
        };
        match words(window, self.state, AtomEnum::ATOM) {
            Ok(states) => Ok(states.contains(&self.full_screen)),
            // It was closed in between.
            Err(ReplyError::X11Error(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_that_is_not_there_is_a_reason() {
        let display = Display::named(":47");
        for _ in 0..3 {
            assert!(display.input().is_err());
        }
        assert!(display.is_full_screen().unwrap_err().contains("display"));
    }
}
