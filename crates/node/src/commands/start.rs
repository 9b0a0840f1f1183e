//! `constellation start`: a coordinator and workers on this machine, with the dashboard in the browser, until Ctrl-C.

use std::io::BufRead;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use protocol::session::{SignInLink, SignInLinkRequest};
use tokio::sync::mpsc;

use super::local_cluster::{
    Joining, LocalCluster, LocalClusterOptions, LocalCoordinator, ProcessEvent, ProcessOutput,
    ProcessRole,
};
use super::{lifetime, status_text};
use crate::client::Client;
use crate::output;
use crate::settings::{BackendSetting, Settings, data_dir};
use crate::value_parsers::whole_number;

/// Its folder among the standard ones.
const FOLDER: &str = "local";
/// The port that is taken where it is free, so that bookmarks keep working.
const PORT: u16 = 8000;
const LEASE_TIMEOUT_SECONDS: u32 = 60;

#[derive(Debug, Args)]
pub struct StartArguments {
    /// Number of workers
    #[arg(long, default_value_t = 2, value_parser = whole_number(1..=32_u8, "a whole number of workers", 2))]
    workers: u8,
    /// Folder for all data [default: `local` in the system's data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Compute backend for training
    #[arg(long, value_enum)]
    backend: Option<BackendSetting>,
    /// Print the sign-in link without opening a browser
    #[arg(long)]
    no_open: bool,
}

pub(super) async fn run(arguments: StartArguments, settings: Settings) -> anyhow::Result<()> {
    let stop = lifetime::until_stopped(false)?;
    let folder = data_dir(arguments.data_dir.as_deref(), FOLDER)?;
    let _lock = platform::files::FolderLock::take(&folder)?;
    let (sender, mut events) = mpsc::unbounded_channel();
    let options = LocalClusterOptions {
        name: "local",
        workers: usize::from(arguments.workers),
        backend: settings.backend.under(arguments.backend).value,
        lease_timeout_seconds: LEASE_TIMEOUT_SECONDS,
    };
    let mut cluster = LocalCluster::new(&folder, options, sender);
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        outcome = serve(&mut cluster, &mut events, &folder, &arguments) => outcome,
    };
    output::note("stopping");
    cluster.stop().await;
    outcome
}

/// Starts everything, then follows the processes and the Enter key. Returns when a process exits by itself.
async fn serve(
    cluster: &mut LocalCluster,
    events: &mut mpsc::UnboundedReceiver<ProcessEvent>,
    folder: &Path,
    arguments: &StartArguments,
) -> anyhow::Result<()> {
    let coordinator = cluster.open(free_port(), events).await?;
    if coordinator.port != PORT {
        output::note(format_args!("port {PORT} is in use; using port {}", coordinator.port));
    }
    let joining = join(&coordinator, arguments.workers).await?;
    for worker in 0..usize::from(arguments.workers) {
        cluster.start_worker(worker, &joining)?;
    }
    output::note(format_args!("data folder: {}", folder.display()));
    if !coordinator::has_dashboard() {
        output::note(
            "warning: this program was built without the dashboard: run `make ui` and build again",
        );
    }
    let opens = !arguments.no_open && platform::browser::can_open();
    print_link(&coordinator, opens).await?;
    output::note("Enter: a new sign-in link; Ctrl-C: stop");
    let mut lines = input_lines();
    loop {
        tokio::select! {
            Some(()) = lines.recv() => print_link(&coordinator, opens).await?,
            Some(event) = events.recv() => report(cluster, event).await?,
            else => return Ok(()),
        }
    }
}

/// Creates a join code for the workers. A worker that is enrolled already keeps its enrollment.
async fn join(coordinator: &LocalCoordinator, workers: u8) -> anyhow::Result<Joining> {
    let request = JoinCodeRequest {
        name: "local workers".to_owned(),
        uses: Some(u32::from(workers)),
        expires_in: Some(3600),
    };
    let code: CreatedJoinCode = coordinator.client.post("/join-codes", &request).await?;
    Ok(Joining { cluster: coordinator.cluster.clone(), link: code.link })
}

async fn print_link(coordinator: &LocalCoordinator, opens: bool) -> anyhow::Result<()> {
    let url = sign_in_url(&coordinator.client, coordinator.port).await?;
    output::line(format_args!("dashboard: {url}"))?;
    output::note("The link signs one browser in, within 5 minutes.");
    if opens && let Err(error) = platform::browser::open(&url) {
        output::note(format_args!("can't open a browser ({error}); open the link by hand"));
    }
    Ok(())
}

/// A sign-in link over plain HTTP on loopback: the browser needs no certificate for it.
async fn sign_in_url(client: &Client, port: u16) -> anyhow::Result<String> {
    let request = SignInLinkRequest { role: protocol::api::Role::Admin, name: String::new() };
    let link: SignInLink = client.post("/sessions/links", &request).await?;
    Ok(format!("http://127.0.0.1:{port}{}", link.path))
}

async fn report(cluster: &mut LocalCluster, event: ProcessEvent) -> anyhow::Result<()> {
    match (event.role, event.output) {
        (ProcessRole::Worker(worker), ProcessOutput::Line(line)) => {
            let status = serde_json::from_str(&line)
                .with_context(|| format!("unexpected line of worker {}: '{line}'", worker + 1))?;
            tracing::info!(worker = worker + 1, "{}", status_text::status_text(&status));
            Ok(())
        }
        (ProcessRole::Coordinator, ProcessOutput::Line(_)) => Ok(()),
        (role, ProcessOutput::Ended) => {
            let log_tail = cluster.reap(role).await;
            match role {
                ProcessRole::Coordinator => bail!("the coordinator exited: {log_tail}"),
                ProcessRole::Worker(worker) => {
                    bail!("worker {} exited: {log_tail}", worker + 1)
                }
            }
        }
    }
}

/// [`PORT`] where it is free, else 0, which takes any.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", PORT)).map_or(0, |_| PORT)
}

/// One message for each line on standard input, until it ends. A read of standard input can't be canceled, so a thread does it.
fn input_lines() -> mpsc::UnboundedReceiver<()> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.send(()).is_err() {
                return;
            }
        }
    });
    receiver
}
