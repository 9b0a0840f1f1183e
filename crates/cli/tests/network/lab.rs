//! A small company network on this machine: hosts in their own network namespaces, connected by a
//! [`Hub`], running the real program.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::hub::{Hub, Port};

/// Time after which a test that waits fails.
const TIMEOUT: Duration = Duration::from_mins(5);
const PROGRAM: &str = env!("CARGO_BIN_EXE_constellation");
const NETWORK: &str = "constellation-test";

/// The coordinator's host and the requested number of worker hosts.
pub(crate) struct Lab {
    // Fields are dropped in this order: processes, then their namespaces, then their files.
    _coordinator: Program,
    pub(crate) hosts: Vec<Host>,
    folder: TempDir,
    _hub: Hub,
}

/// A namespace with one network interface.
pub(crate) struct Host {
    namespace: String,
    pub(crate) port: Arc<Port>,
}

/// A running `constellation` process, whose JSON lines are read.
pub(crate) struct Program {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Lab {
    /// Returns `None` and prints the reason if this machine or user can't have namespaces and TAP
    /// devices.
    pub(crate) fn new(workers: usize, coordinator: &[&str]) -> Option<Self> {
        let hub = Hub::default();
        let mut hosts = Vec::new();
        remove_stale_namespaces();
        for number in 1..=workers + 1 {
            match Host::new(&hub, number) {
                Ok(host) => hosts.push(host),
                Err(reason) => {
                    eprintln!("skipped: {reason}");
                    return None;
                }
            }
        }
        let folder = TempDir::new().unwrap();
        let mut arguments = vec!["coordinator", "--json", "--exit-with-parent"];
        arguments.extend(["--listen", "0.0.0.0:8000", "--data-dir"]);
        let data_dir = folder.path().join("coordinator");
        let data_dir = data_dir.to_str().unwrap();
        arguments.push(data_dir);
        arguments.extend(coordinator);
        let coordinator = Program::start(&mut hosts[0].command(&arguments));
        coordinator.until("it listens", |line| line["event"] == "listening");
        Some(Self { _coordinator: coordinator, hosts, folder, _hub: hub })
    }

    /// Port of a worker's host; workers are numbered from 1.
    pub(crate) fn port(&self, worker: usize) -> &Port {
        &self.hosts[worker].port
    }

    /// Starts a worker. `find`: flags of the command line by which it finds the coordinator.
    pub(crate) fn worker(&self, number: usize, find: &[&str]) -> Program {
        let code = self.run_json(&["join-code", "create"]);
        let link = code["link"].as_str().unwrap();
        let data_dir = self.folder.path().join(format!("worker-{number}"));
        let mut arguments = vec!["worker", "--json", "--exit-with-parent", "--when", "always"];
        arguments.extend(["--backend", "cpu", "--data-dir", data_dir.to_str().unwrap()]);
        let instance = number.to_string();
        arguments.extend(["--join", link, "--instance", &instance]);
        arguments.extend(find);
        Program::start(&mut self.hosts[number].command(&arguments))
    }

    /// Runs a command on the coordinator's host and returns its JSON output.
    pub(crate) fn run_json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let data_dir = self.folder.path().join("coordinator");
        let mut all = arguments.to_vec();
        all.extend(["--json", "--data-dir", data_dir.to_str().unwrap()]);
        self.hosts[0].command(&all).output().unwrap()
    }

    /// Submits and starts the job. Returns its id.
    pub(crate) fn submit(&self, job: &Path) -> String {
        let job = self.run_json(&["job", "submit", job.to_str().unwrap()]);
        job["id"].as_str().unwrap().to_owned()
    }

    /// Follows the job to its end. Returns a line for each round and the final line.
    pub(crate) fn watch(&self, job: &str) -> Vec<Value> {
        let output = self.run(&["job", "watch", job]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        lines(&output.stdout)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Output of `constellation simulate` for the job: the same arithmetic without any network.
pub(crate) fn simulate(job: &Path) -> Vec<Value> {
    let arguments = ["simulate", "--json", job.to_str().unwrap()];
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    lines(&output.stdout)
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Host {
    fn new(hub: &Hub, number: usize) -> Result<Self, String> {
        let namespace = format!("{NETWORK}-{}-{number}", std::process::id());
        let (port, device) = hub
            .plug()
            .map_err(|error| format!("no TAP device: {error}; run as root, with /dev/net/tun"))?;
        ip(&["netns", "add", &namespace])?;
        let host = Self { namespace, port };
        ip(&["link", "set", &device, "netns", &host.namespace, "name", "lan"])?;
        host.ip(&["link", "set", "lo", "up"]);
        host.ip(&["link", "set", "lan", "up"]);
        host.add_address(address(number));
        Ok(host)
    }

    /// Adds an address of the test network.
    pub(crate) fn add_address(&self, address: Ipv4Addr) {
        self.ip(&["addr", "add", &format!("{address}/24"), "brd", "+", "dev", "lan"]);
    }

    pub(crate) fn remove_address(&self, address: Ipv4Addr) {
        self.ip(&["addr", "del", &format!("{address}/24"), "dev", "lan"]);
    }

    /// Whether a TCP connection to the address is open.
    pub(crate) fn is_connected_to(&self, address: Ipv4Addr) -> bool {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, "ss", "-Htn", "state", "established"]);
        let output = command.args(["dst", &address.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        !output.stdout.is_empty()
    }

    fn ip(&self, arguments: &[&str]) {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend(arguments);
        ip(&all).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, PROGRAM]).args(arguments);
        // The hosts do not use this machine's own settings.
        command.env_remove("CONSTELLATION_COORDINATOR_URL").env("CONSTELLATION_LOG", "warn");
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(ip(&["netns", "del", &self.namespace]));
    }
}

/// The address of the coordinator (1) and of the workers.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(number).unwrap())
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("can't run `ip` (iproute2): {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {arguments:?}: {stderr}")) }
}

/// Removes namespaces of test processes that were killed.
fn remove_stale_namespaces() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let process = name.strip_prefix(NETWORK).and_then(|rest| rest.split('-').nth(1));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            drop(ip(&["netns", "del", name]));
        }
    }
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Returns the next line that satisfies `wanted`.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + TIMEOUT;
        let mut last = Value::Null;
        loop {
            let remaining = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(remaining) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => last = line,
                Err(error) => panic!("waited for '{what}': {error}; the last line was {last}"),
            }
        }
    }

    /// Lines that were received and not read yet.
    pub(crate) fn received(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program stops gracefully when its standard input closes.
        if let Some(mut input) = self.child.stdin.take() {
            drop(input.flush());
        }
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > end {
                drop(self.child.kill());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
