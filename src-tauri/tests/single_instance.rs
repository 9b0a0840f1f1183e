//! Single instance of the app per data folder. Nothing outside the folder can stop or impersonate it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{ChildStderr, Command, Output, Stdio};

use desk::{Desk, Ends};

/// Log line of a running app that is not set up.
const RUNS: &str = "Not set up yet";
/// Former path of the app's socket, which any account could create first.
const ANYBODY_S: &str = "/tmp/com_constellation_app_si.sock";

/// Running app, and its log from then on.
struct Running {
    app: Ends,
    log: std::io::Lines<BufReader<ChildStderr>>,
}

fn app(desk: &Desk, data: &Path) -> Command {
    // An app that waits for an answer would hang, so `timeout` ends it.
    let mut command = desk.command("timeout".as_ref());
    command.args(["60", env!("CARGO_BIN_EXE_constellation-app"), "--data-dir"]).arg(data);
    command
}

fn start(desk: &Desk, data: &Path) -> Running {
    let mut app = Ends(app(desk, data).stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(app.0.stderr.take().unwrap()).lines();
    let mut running = Running { app, log };
    assert!(running.says(RUNS), "it ended and never ran");
    running
}

impl Running {
    fn says(&mut self, words: &str) -> bool {
        self.log.any(|line| line.unwrap().contains(words))
    }

    /// Kills it with a signal that it can't handle.
    fn kill(self) {
        let pid = self.app.0.id().to_string();
        // `timeout` and the app have a separate process group.
        let group = format!("-{pid}");
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        drop(self);
    }
}

fn again(desk: &Desk, data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = app(desk, data).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn nobody_beyond_the_folder_keeps_the_app_from_starting() {
    let desk = Desk::start();
    drop(std::fs::remove_file(ANYBODY_S));
    let socket = UnixListener::bind(ANYBODY_S).unwrap();
    let _name = desk::bus::Holder::open(&desk, "com.constellation.app.SingleInstance");
    start(&desk, &desk.folder.path().join("data"));
    // It sends nothing there either.
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    std::fs::remove_file(ANYBODY_S).unwrap();
}

#[test]
fn two_starts_in_one_folder_are_one_app_and_two_folders_are_two() {
    let desk = Desk::start();
    let (one, other) = (desk.folder.path().join("one"), desk.folder.path().join("other"));
    let mut first = start(&desk, &one);
    let _second = start(&desk, &other);
    assert_eq!(again(&desk, &one, &["--show", "settings"]), (Some(0), String::new()));
    // Its arguments arrive, and the later start reports the error in them.
    let (code, words) = again(&desk, &one, &["constellation://join/garbage"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("join link"), "{words}");
    assert!(first.says("a link could not be opened"));
    first.kill();
    // The files of a killed app don't prevent a new start.
    start(&desk, &one);
}
