//! One app for each data folder, which nothing beyond the folder can stop or pose as.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{ChildStderr, Command, Output, Stdio};

use desk::{Desk, Ends};

/// What an app that nobody has set up says once it runs.
const RUNS: &str = "Not set up yet";
/// Where the app's socket was once: any account may be first there.
const ANYBODY_S: &str = "/tmp/com_constellation_app_si.sock";

/// An app that runs, and what it writes to its log from then on.
struct Running {
    app: Ends,
    log: std::io::Lines<BufReader<ChildStderr>>,
}

fn app(desk: &Desk, data: &Path) -> Command {
    // An app that waits for somebody who doesn't answer would be waited for.
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

    /// Ends it by a signal that it can't prepare for.
    fn kill(self) {
        let pid = self.app.0.id().to_string();
        // `timeout` has a process group of its own, with the app.
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
    let _name = desk::bus::Holder::of(&desk, "com.constellation.app.SingleInstance");
    start(&desk, &desk.folder.path().join("data"));
    // Nor does it say anything there.
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
    // Its arguments arrive, and what is wrong with them is said by the start that had them.
    let (code, words) = again(&desk, &one, &["constellation://join/garbage"]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("join link"), "{words}");
    assert!(first.says("a link could not be opened"));
    first.kill();
    // What a killed app leaves is in nobody's way.
    start(&desk, &one);
}
