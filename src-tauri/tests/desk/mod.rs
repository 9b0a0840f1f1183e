//! Virtual desktop: a display, a session bus, a window manager, a tray, and a driver for the app's web
//! views. Everything ends with the test.

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

/// Timeout that only a failing test reaches. It does not measure anything.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);

/// Polling interval for conditions without a notification.
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

    /// Returns a program on this desktop with a separate home folder.
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

    /// Starts a coordinator without Bonjour and waits until it listens. Returns it, its first line and its folder.
    pub(crate) fn coordinator(&self) -> (Process, Value, String) {
        self.coordinator_of("cluster")
    }

    /// Like `coordinator`, with a folder name, for tests with several.
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

    /// Starts the app under a driver, with `arguments`.
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
        // The drivers don't report when they listen.
        let listening = async {
            for port in [port, native] {
                while TcpStream::connect(("127.0.0.1", port)).is_err() {
                    tokio::time::sleep(LOOK).await;
                }
            }
        };
        tokio::time::timeout(WAIT_TIMEOUT, listening).await.unwrap();
        let client = builder.connect(&address).await.unwrap();
        Driven { client }
    }

    /// Starts the app again, so that the running one shows this window.
    pub(crate) fn show(&self, data_dir: &Path, page: &str) {
        self.again(data_dir, &["--show", page]);
    }

    /// Starts the app again, so that the running one receives these arguments.
    pub(crate) fn again(&self, data_dir: &Path, arguments: &[&str]) {
        let mut again = self.command(Path::new(env!("CARGO_BIN_EXE_constellation-app")));
        let status = again.arg("--data-dir").arg(data_dir).args(arguments).status();
        assert!(status.unwrap().success());
    }

    /// Returns the devices of the coordinator in this folder.
    pub(crate) fn devices(&self, cluster: &str) -> Vec<Value> {
        let devices = self.result(&["device", "list", "--data-dir", cluster]);
        devices.as_array().unwrap().clone()
    }

    /// Creates a join link of the coordinator in this folder.
    pub(crate) fn link(&self, cluster: &str) -> String {
        let code = self.result(&["join-code", "create", "--data-dir", cluster]);
        code["link"].as_str().unwrap().to_owned()
    }

    /// Runs `constellation` and returns the last of its JSON lines.
    pub(crate) fn last_line(&self, arguments: &[&str]) -> Value {
        let output = self.command(&constellation()).args(arguments).arg("--json").output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        let lines = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(lines.lines().last().unwrap()).unwrap()
    }

    /// Runs `constellation` and returns its JSON output.
    pub(crate) fn result(&self, arguments: &[&str]) -> Value {
        let output = self.command(&constellation()).args(arguments).arg("--json").output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Returns the environment of a user whose home is `folder`.
pub(crate) fn home(folder: &Path) -> [(&'static str, PathBuf); 3] {
    [
        ("HOME", folder.to_owned()),
        ("XDG_CONFIG_HOME", folder.join("config")),
        ("XDG_DATA_HOME", folder.join("data")),
    ]
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The display is stopped last, because programs that use it end with it.
        for process in self.processes.iter_mut().rev() {
            // Drivers have their own process groups, so that their child processes end with them.
            let group = format!("-{}", process.id());
            drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// Path of the command beside the app, which is also its trainer.
pub(crate) fn constellation() -> PathBuf {
    let program =
        Path::new(env!("CARGO_BIN_EXE_constellation-app")).with_file_name("constellation");
    assert!(program.is_file(), "{} is missing: build the workspace", program.display());
    program
}

/// App under a driver that reads and operates its windows.
pub(crate) struct Driven {
    pub(crate) client: Client,
}

impl Driven {
    /// Waits for the window of this page and switches to it.
    pub(crate) async fn window(&self, page: &str) {
        let all = async {
            loop {
                for handle in self.client.windows().await.unwrap() {
                    // A window that was just closed stays in the list for a moment.
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
        tokio::time::timeout(WAIT_TIMEOUT, all)
            .await
            .unwrap_or_else(|_| panic!("no window {page}"));
    }

    pub(crate) async fn find(&self, id: &str) -> Element {
        let found = self.client.wait().at_most(WAIT_TIMEOUT).for_element(Locator::Id(id)).await;
        found.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    pub(crate) async fn click(&self, id: &str) {
        self.find(id).await.click().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Clicks what closes its own window: the driver may lose the answer with the window, so the caller waits for
    /// what comes next.
    pub(crate) async fn click_away(&self, id: &str) {
        drop(self.find(id).await.click().await);
    }

    pub(crate) async fn write(&self, id: &str, text: &str) {
        self.find(id).await.send_keys(text).await.unwrap();
    }

    /// Waits until a button is enabled, and clicks it.
    pub(crate) async fn click_enabled(&self, id: &str) {
        let path = format!("#{id}:enabled");
        let found = self.client.wait().at_most(WAIT_TIMEOUT).for_element(Locator::Css(&path)).await;
        let element = found.unwrap_or_else(|error| panic!("{id}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{id}: {error}"));
    }

    /// Returns the result of this promise in the page: its value, or `{"refused": words}`.
    pub(crate) async fn promised(&self, promise: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; ({promise})
             .then(done, (error) => done({{ refused: String(error) }}))"
        );
        self.client.execute_async(&script, vec![]).await.unwrap()
    }

    /// Returns the app's response to a command that the page invokes.
    pub(crate) async fn invoked(&self, command: &str, arguments: &str) -> Value {
        self.promised(&format!("window.__TAURI_INTERNALS__.invoke('{command}', {arguments})")).await
    }

    /// Waits until the page contains this text.
    pub(crate) async fn see(&self, words: &str) {
        let path = format!("//*[contains(text(), '{words}')]");
        let seen =
            self.client.wait().at_most(WAIT_TIMEOUT).for_element(Locator::XPath(&path)).await;
        seen.unwrap_or_else(|error| panic!("{words}: {error}"));
    }

    /// Waits until the state line contains this text, and returns the whole line.
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
        if let Ok(line) = tokio::time::timeout(WAIT_TIMEOUT, said).await {
            return line;
        }
        let line = self.find("state-line").await.text().await;
        panic!("it never said {wanted}, at last {line:?}")
    }

    /// Saves a PNG of the window's page to the folder in `SCREENSHOTS`, if it is set.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let file = PathBuf::from(folder).join(format!("{name}.png"));
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    pub(crate) async fn end(self) {
        drop(self.client.close().await);
    }
}

/// Process that ends with the test.
pub(crate) struct Ends(pub(crate) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Process that ends with its standard input.
pub(crate) struct Process(Ends);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(Ends(command.spawn().unwrap()))
    }

    /// Returns its next line of output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.0.stdout.as_mut().unwrap();
        // Reads one byte at a time, so that data after the line stays for the next call.
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

/// Polls until `look` returns a value.
pub(crate) fn wait_for<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < WAIT_TIMEOUT {
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
