//! A desktop without a screen: a display, a session bus, a window manager, a tray, and a driver for
//! the app's web views. Everything ends with the test.

#![allow(dead_code, reason = "each of the tests takes what it needs")]

pub(crate) mod bus;
pub(crate) mod menu;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// A test that waits longer than this is wrong; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks at what can't be waited for otherwise.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    display: String,
    bus: String,
    processes: Vec<Child>,
}

impl Desk {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut x = Command::new("Xvfb");
        x.args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-noreset", "-nolisten", "tcp"]);
        let (x, number) = started_with_a_line(&mut x);
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address=1"]);
        bus.arg(format!("--address=unix:path={}", folder.path().join("bus").display()));
        let (bus, address) = started_with_a_line(&mut bus);
        let mut desk =
            Self { folder, display: format!(":{number}"), bus: address, processes: vec![x, bus] };
        for program in ["openbox", "trayer"] {
            let mut command = desk.command(Path::new(program));
            desk.processes.push(command.stderr(Stdio::null()).spawn().unwrap());
        }
        desk
    }

    /// A program of this desktop, with a home of its own.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .envs(home(self.folder.path()))
            .env("NO_AT_BRIDGE", "1")
            .env("GDK_BACKEND", "x11")
            .env("CONSTELLATION_LOG", "info")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("CONSTELLATION_COORDINATOR")
            .env_remove("CONSTELLATION_JOIN");
        command
    }

    /// A coordinator in the folder that comes with it, which no Bonjour tells of, once it listens; gives
    /// what it says of that.
    pub(crate) fn coordinator(&self) -> (Process, Value, String) {
        self.coordinator_of("cluster")
    }

    /// One of several.
    pub(crate) fn coordinator_of(&self, cluster: &str) -> (Process, Value, String) {
        let folder = self.folder.path().join(cluster).to_str().unwrap().to_owned();
        let mut coordinator = self.command(&constellation());
        let arguments = ["coordinator", "--listen", "127.0.0.1:0", "--json", "--exit-with-parent"];
        coordinator.args(arguments).args(["--no-discovery", "--name", cluster]);
        coordinator.args(["--data-dir", &folder]);
        let mut coordinator = Process::start(&mut coordinator);
        let listening = serde_json::from_str(&coordinator.line()).unwrap();
        (coordinator, listening, folder)
    }

    /// The app under a driver, with `arguments`.
    pub(crate) async fn app(&mut self, arguments: &[&str]) -> Driven {
        let (port, native) = (free_port(), free_port());
        let mut driver = self.command(Path::new("tauri-driver"));
        driver.args(["--port", &port.to_string(), "--native-port", &native.to_string()]);
        self.processes.push(driver.process_group(0).spawn().unwrap());
        let application = env!("CARGO_BIN_EXE_constellation-app");
        let options = json!({ "application": application, "args": arguments });
        let capabilities = [("tauri:options".to_owned(), options)].into_iter().collect();
        let address = format!("http://127.0.0.1:{port}");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        // The drivers say nothing when they listen.
        let listening = async {
            for port in [port, native] {
                while TcpStream::connect(("127.0.0.1", port)).is_err() {
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.unwrap();
        let client = builder.connect(&address).await.unwrap();
        Driven { client }
    }

    /// Starts the app once more: the one that runs shows this window.
    pub(crate) fn show(&self, data_dir: &Path, page: &str) {
        self.again(data_dir, &["--show", page]);
    }

    /// Starts the app once more: the one that runs takes these arguments.
    pub(crate) fn again(&self, data_dir: &Path, arguments: &[&str]) {
        let mut again = self.command(Path::new(env!("CARGO_BIN_EXE_constellation-app")));
        let status = again.arg("--data-dir").arg(data_dir).args(arguments).status();
        assert!(status.unwrap().success());
    }

    /// The devices of the coordinator in this folder.
    pub(crate) fn devices(&self, cluster: &str) -> Vec<Value> {
        let devices = self.result(&["device", "list", "--data-dir", cluster]);
        devices.as_array().unwrap().clone()
    }

    /// A new join link of the coordinator in this folder.
    pub(crate) fn link(&self, cluster: &str) -> String {
        let code = self.result(&["join-code", "create", "--data-dir", cluster]);
        code["link"].as_str().unwrap().to_owned()
    }

    /// The last of the lines that `constellation` says in JSON.
    pub(crate) fn last_line(&self, arguments: &[&str]) -> Value {
        let output = self.command(&constellation()).args(arguments).arg("--json").output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        let lines = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(lines.lines().last().unwrap()).unwrap()
    }

    /// What `constellation` answers in JSON.
    pub(crate) fn result(&self, arguments: &[&str]) -> Value {
        let output = self.command(&constellation()).args(arguments).arg("--json").output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The environment of somebody who lives in `folder`.
pub(crate) fn home(folder: &Path) -> [(&'static str, PathBuf); 3] {
    [
        ("HOME", folder.to_owned()),
        ("XDG_CONFIG_HOME", folder.join("config")),
        ("XDG_DATA_HOME", folder.join("data")),
    ]
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The display goes last: what hangs on it ends with it.
        for process in self.processes.iter_mut().rev() {
            // Drivers have groups of their own: what they started ends with them.
            let group = format!("-{}", process.id());
            drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// The command beside the app, which is also its trainer.
pub(crate) fn constellation() -> PathBuf {
    let program =
        Path::new(env!("CARGO_BIN_EXE_constellation-app")).with_file_name("constellation");
    assert!(program.is_file(), "{} is missing: build the workspace", program.display());
    program
}

/// The app, driven by what a person sees.
pub(crate) struct Driven {
    pub(crate) client: Client,
}

impl Driven {
    /// Goes on in the window of this page, once it is there.
    pub(crate) async fn window(&self, page: &str) {
        let all = async {
            loop {
                for handle in self.client.windows().await.unwrap() {
                    // A window that has just been closed is in the list for a moment.
                    if self.client.switch_to_window(handle).await.is_err() {
                        continue;
                    }
                    let Ok(url) = self.client.current_url().await else { continue };
                    if url.as_str().contains(page) {
                        return;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("no window {page}"));
    }

    pub(crate) async fn find(&self, id: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Id(id)).await;
        found.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    pub(crate) async fn click(&self, id: &str) {
        self.find(id).await.click().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    pub(crate) async fn write(&self, id: &str, text: &str) {
        self.find(id).await.send_keys(text).await.unwrap();
    }

    /// Presses a button that can't be pressed at once.
    pub(crate) async fn click_enabled(&self, id: &str) {
        let path = format!("#{id}:enabled");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(&path)).await;
        let element = found.unwrap_or_else(|error| panic!("{id}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// What the page's script gives for this promise: its value, or `{"refused": words}`.
    pub(crate) async fn promised(&self, promise: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; ({promise})
             .then(done, (error) => done({{ refused: String(error) }}))"
        );
        self.client.execute_async(&script, vec![]).await.unwrap()
    }

    /// What the app answers when the page asks for a command.
    pub(crate) async fn invoked(&self, command: &str, arguments: &str) -> Value {
        self.promised(&format!("window.__TAURI_INTERNALS__.invoke('{command}', {arguments})")).await
    }

    /// Waits until the page says this somewhere.
    pub(crate) async fn see(&self, words: &str) {
        let path = format!("//*[contains(text(), '{words}')]");
        let seen = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        seen.unwrap_or_else(|error| panic!("{words}: {error}"));
    }

    /// Waits until the state is said so, and gives the whole line.
    pub(crate) async fn line(&self, wanted: &str) -> String {
        let said = async {
            loop {
                let line = self.find("state-line").await.text().await.unwrap_or_default();
                if line.contains(wanted) {
                    return line;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        if let Ok(line) = tokio::time::timeout(PATIENCE, said).await {
            return line;
        }
        let line = self.find("state-line").await.text().await;
        panic!("it never said {wanted}, at last {line:?}")
    }

    /// The window's page as a PNG, where `SCREENSHOTS` names a folder for it.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let file = PathBuf::from(folder).join(format!("{name}.png"));
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    pub(crate) async fn end(self) {
        drop(self.client.close().await);
    }
}

/// A process that ends with the test.
pub(crate) struct Ends(pub(crate) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A process that ends with its standard input.
pub(crate) struct Process(Ends);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(Ends(command.spawn().unwrap()))
    }

    /// Its next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.0.stdout.as_mut().unwrap();
        // A byte at a time: what comes after the line stays for the next call.
        let mut byte = [0];
        while std::io::Read::read(output, &mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(char::from(byte[0]));
        }
        line
    }

    pub(crate) fn stop(mut self) -> Option<i32> {
        drop(self.0.0.stdin.take());
        self.0.0.wait().unwrap().code()
    }
}

/// Looks until there is something.
pub(crate) fn wait_for<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(LOOK);
    }
    None
}

fn started_with_a_line(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
