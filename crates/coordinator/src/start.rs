//! Starting and stopping a coordinator.

mod error;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::Router;
use data::Sources;
use platform::{FolderLock, LockError};
use protocol::audit::{Action, SubjectKind};
use protocol::session::SignInLinkRequest;
use protocol::setting::Setting;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trainer::TrainerCommand;
use uuid::Uuid;

use crate::backup::{BLOBS_FOLDER, BackupSchedule, DATABASE_FILE, ScheduleState, Scheduled};
use crate::blobs::{Blobs, Room, is_full};
use crate::caller::{Caller, Principal, Who, detail};
use crate::challenge::Challenges;
use crate::clock;
use crate::cluster::{ClusterError, ClusterIdentity, Current, OwnCertificate, server_config};
use crate::driver::{self, DriverHandle, Refusal, StepContext, renew_this_machine, this_machine};
use crate::evaluate::Trainers;
use crate::http::{self, Origin, Shared};
use crate::moment::Observer;
use crate::points::{Point, Points};
use crate::shelf::Shelf;
use crate::store::{Batch, Loaded, Reader, Store, StoreError};
use crate::telling::Courier;
use crate::views::Views;
pub use error::StartError;

/// The file in the data folder with a token for this machine's own commands.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// The file in the data folder with the coordinator's URL; written at every start.
pub const ADDRESS_FILE: &str = "address";

/// What a coordinator is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// One coordinator at a time uses it.
    pub data_dir: PathBuf,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The cluster's name.
    pub name: String,
    /// What browsers are shown in place of the cluster's own certificate.
    pub certificate: Option<OwnCertificate>,
    /// How long a lease lasts without a sign of its device, and the least that a device which
    /// stands still is given; see `docs/reliability.md`.
    pub lease_patience: Duration,
    /// Makes initial weights and measures models.
    pub trainer: TrainerCommand,
    /// Answers predictions; on the CPU.
    pub predictor: TrainerCommand,
    /// Both at background priority: for a machine that somebody uses. Rounds wait for them.
    pub nice: bool,
    /// These settings as people see them, with where each came from.
    pub shown: Vec<Setting>,
    pub sources: Sources,
    /// Pages of these origins may ask, with a token; usually none.
    pub allow_origins: Vec<Origin>,
    /// The most that it stores in its data folder, in bytes; none where the disk's end is the limit.
    pub maximum_disk_bytes: Option<u64>,
    /// Backups that it makes by itself.
    pub backups: Option<BackupSchedule>,
}

/// A coordinator at work. Dropping it ends it without waiting; [`Running::stop`] waits.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Made at the first start, then kept.
    pub cluster: ClusterIdentity,
    /// Everything it serves, for callers in this process: they put a [`crate::Principal`] into the
    /// request's extensions.
    pub router: Router,
    /// Whether a job is under way: one that waits to be started or resumed is not.
    pub working: watch::Receiver<bool>,
    driver: DriverHandle,
    driver_thread: Option<thread::JoinHandle<()>>,
    trainers: [Trainers; 2],
    server: Option<JoinHandle<()>>,
    stopping: CancellationToken,
    driver_ended: CancellationToken,
}

/// Starts a coordinator.
///
/// # Errors
/// See [`StartError`]; nothing runs then.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    start_observed(settings, Observer::default()).await
}

/// As [`start`], with somebody who hears what the coordinator does by itself.
///
/// # Errors
/// See [`StartError`]; nothing runs then.
pub async fn start_observed(settings: Settings, observer: Observer) -> Result<Running, StartError> {
    let open_files = platform::process::raise_open_files();
    tracing::debug!(open_files, "the most that may be open at once");
    // An earlier version took any name, and devices refuse one that can't be shown.
    let (folder, name) = (settings.data_dir.clone(), protocol::text::cleaned(&settings.name));
    let (own, maximum) = (settings.certificate, settings.maximum_disk_bytes);
    let (points, passed) = (observer.points.clone(), observer.points.clone());
    let prepared =
        tokio::task::spawn_blocking(move || open(&folder, &name, own, maximum, &passed)).await;
    let opened = prepared.map_err(|error| StartError::Thread(io::Error::other(error)))??;
    // This process has the folder to itself now. What can't be removed does no harm.
    if let Err(error) = settings.sources.remove_halves() {
        tracing::warn!(%error, "could not tidy up the datasets");
    }
    let listener = listen(settings.listen).await?;
    let address = listener.local_addr();
    let address =
        address.map_err(|source| StartError::Listen { address: settings.listen, source })?;
    let tls = server_config(opened.cluster.certified.clone(), opened.own_certificate.clone())
        .map_err(ClusterError::from)?;

    let (views, sources) = (Arc::new(Views::default()), Arc::new(settings.sources));
    let ((revision, revisions), working) = (watch::channel(0), views.working());
    let [trainers, predictor] =
        [settings.trainer, settings.predictor].map(|program| Trainers::new(program, settings.nice));
    let courier = Courier::new(&settings.name);
    let (stopping, driver_ended) = (CancellationToken::new(), CancellationToken::new());
    let steps = StepContext {
        runtime: Handle::current(),
        blobs: opened.blobs.clone(),
        sources: sources.clone(),
        trainers: trainers.clone(),
        observer,
    };
    let parts = driver::Parts {
        store: opened.store,
        loaded: opened.loaded,
        blobs: opened.blobs.clone(),
        views: views.clone(),
        revision,
        lease_patience: settings.lease_patience,
        steps,
        courier: courier.clone(),
        secrets: opened.cluster.secrets.clone(),
        own_certificate: opened.own_certificate.clone(),
        lock: opened.lock,
        ended: driver_ended.clone(),
    };
    let (driver, driver_thread) = driver::spawn(parts).map_err(StartError::Thread)?;
    let shared = Shared(Arc::new(http::Parts {
        cluster: opened.cluster.clone(),
        address,
        challenges: Challenges::new(rand::random()),
        views,
        reader: opened.reader,
        blobs: opened.blobs,
        shelf: Shelf::new(sources.clone()),
        sources,
        driver: driver.clone(),
        predictor: predictor.clone(),
        settings: settings.shown,
        courier,
        revision: revisions,
        stopping: stopping.clone(),
        requests: http::Requests::default(),
        failures: http::Failures::default(),
        cookie: http::CookieName::new(&opened.cluster.id),
        tickets: http::Tickets::default(),
        origins: settings.allow_origins,
        points: points.clone(),
        adding: Arc::default(),
        data_dir: settings.data_dir.clone(),
        backups: Mutex::new(ScheduleState::default()),
    }));
    if let Some(schedule) = settings.backups {
        let scheduled =
            Scheduled::new(schedule, shared.backup_source(), driver.clone(), points.clone());
        let (shared, stopping) = (shared.clone(), stopping.clone());
        tokio::spawn(async move { scheduled.run(&shared.backups, stopping).await });
    }
    let router = http::router(shared);
    write_address(&settings.data_dir, address)?;
    write_down_start(&driver, &opened.cluster.id, address, &settings.data_dir).await?;
    points.pass(Point::AddressWritten);
    let server = tokio::spawn(http::serve(listener, router.clone(), tls, stopping.clone()));
    if let Some(own) = opened.own_certificate {
        let stopping = stopping.clone();
        tokio::spawn(async move { own.follow(stopping).await });
    }
    tracing::info!(%address, "the coordinator listens");
    Ok(Running {
        address,
        cluster: opened.cluster,
        router,
        working,
        driver,
        driver_thread: Some(driver_thread),
        trainers: [trainers, predictor],
        server: Some(server),
        stopping,
        driver_ended,
    })
}

impl Running {
    /// Where those on this machine reach it who don't know its pin: by plain HTTP where it listens
    /// on loopback.
    pub fn url(&self) -> String {
        let (is_loopback, address) = local(self.address);
        if is_loopback { format!("http://{address}") } else { self.https_url() }
    }

    /// Where clients on this machine reach it by TLS.
    pub fn https_url(&self) -> String {
        https_url(self.address)
    }

    /// A link that signs whoever is at this machine in to the dashboard, once, within five minutes;
    /// none where the coordinator can't give one now.
    pub async fn sign_in_link(&self) -> Option<String> {
        let caller = Caller { who: Who::Known(Principal::local_admin()), from: None };
        let asked = SignInLinkRequest::default();
        let link = self.driver.by(&caller).create_sign_in_link(asked).await.ok()?;
        Some(format!("{}{}", self.url(), link.path))
    }

    /// Ends when the coordinator can't go on: its writer is gone. The process should end too.
    pub async fn failed(&self) {
        self.driver_ended.cancelled().await;
    }

    /// Answers who waits, lets what is under way end, and stores what is not yet stored.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(server) = self.server.take() {
            drop(server.await);
        }
        self.driver.stop();
        if let Some(thread) = self.driver_thread.take() {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
        for trainers in &self.trainers {
            trainers.stop().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.driver.stop();
    }
}

/// The data folder, taken and read.
struct Opened {
    lock: FolderLock,
    store: Store,
    loaded: Loaded,
    reader: Arc<Reader>,
    blobs: Blobs,
    cluster: ClusterIdentity,
    own_certificate: Option<Arc<Current>>,
}

fn open(
    folder: &Path,
    name: &str,
    own: Option<OwnCertificate>,
    maximum: Option<u64>,
    points: &Points,
) -> Result<Opened, StartError> {
    let lock = FolderLock::take(folder).map_err(|error| match error {
        LockError::Taken { folder } => StartError::DataDirLocked { folder },
        LockError::Io { folder, source } => unwritable(&folder)(source),
    })?;
    let path = folder.join(DATABASE_FILE);
    let broken = |error: StoreError| match error {
        StoreError::Full => StartError::DiskFull { folder: folder.to_owned() },
        StoreError::Newer { found, known } => {
            StartError::NewerDatabase { folder: folder.to_owned(), found, known }
        }
        StoreError::Sqlite(_) | StoreError::Unreadable { .. } => {
            StartError::Database { folder: folder.to_owned(), reason: error.to_string() }
        }
    };
    let mut store = Store::open(&path).map_err(broken)?.with_points(points.clone());
    points.pass(Point::DatabaseOpened);
    let cluster_id = store.cluster_id(&Uuid::now_v7().to_string()).map_err(broken)?;
    let enrolled = store.device_count().map_err(broken)?;
    let cluster = ClusterIdentity::open(folder, &cluster_id, name, enrolled)?;
    store.seal_secrets(&path, &cluster.secrets).map_err(broken)?;
    let mut loaded = store.load(&cluster_id).map_err(broken)?;
    let blobs = Blobs::open(&folder.join(BLOBS_FOLDER)).map_err(unwritable(folder))?;
    let blobs = blobs.with_points(points.clone()).with_room(Room::new(folder, maximum));
    keep_own_token(folder, &mut store, &mut loaded, points, &broken)?;
    let own_certificate = own.map(Current::load).transpose()?.map(Arc::new);
    let reader = Arc::new(Reader::new(&path));
    Ok(Opened { lock, store, loaded, reader, blobs, cluster, own_certificate })
}

fn unwritable(folder: &Path) -> impl Fn(io::Error) -> StartError {
    move |source| {
        let folder = folder.to_owned();
        if is_full(&source) {
            StartError::DiskFull { folder }
        } else {
            StartError::DataDirUnwritable { folder, source }
        }
    }
}

/// Sees to it that this machine's own commands have a token that counts.
fn keep_own_token(
    folder: &Path,
    store: &mut Store,
    loaded: &mut Loaded,
    points: &Points,
    broken: &impl Fn(StoreError) -> StartError,
) -> Result<(), StartError> {
    let file = folder.join(ADMIN_TOKEN_FILE);
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    if this_machine(&loaded.tokens, &kept).is_some() {
        return Ok(());
    }
    let (text, row, replaced) = renew_this_machine(&loaded.tokens, clock::now());
    let (kind, detail) = (SubjectKind::Token, detail([("name", row.name.clone())]));
    let record =
        Caller::coordinator().record(row.created_at, Action::Created, kind, &row.id, detail);
    let batch = Batch {
        tokens: vec![row.clone()],
        removed_tokens: replaced.clone(),
        audit: vec![record],
        ..Batch::default()
    };
    store.commit(&batch).map_err(broken)?;
    loaded.tokens.retain(|row| !replaced.contains(&row.id));
    loaded.tokens.push(row);
    points.pass(Point::OwnTokenStored);
    platform::files::write_private(&file, text.token.as_bytes()).map_err(unwritable(folder))
}

/// The audit log's first word of a run.
async fn write_down_start(
    driver: &DriverHandle,
    cluster_id: &str,
    address: SocketAddr,
    folder: &Path,
) -> Result<(), StartError> {
    let caller = Caller::coordinator();
    let written = driver.by(&caller).started(cluster_id.to_owned(), address).await;
    written.map_err(|refusal| {
        driver.stop();
        let folder = folder.to_owned();
        if refusal == Refusal::Store(StoreError::Full) {
            return StartError::DiskFull { folder };
        }
        StartError::Database { folder, reason: refusal.to_string() }
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            StartError::AddressInUse { address }
        } else {
            StartError::Listen { address, source }
        }
    })
}

fn write_address(folder: &Path, address: SocketAddr) -> Result<(), StartError> {
    let file = folder.join(ADDRESS_FILE);
    platform::files::write_private(&file, https_url(address).as_bytes()).map_err(unwritable(folder))
}

fn https_url(address: SocketAddr) -> String {
    format!("https://{}", local(address).1)
}

/// A coordinator that listens everywhere is reached on this machine by loopback.
fn local(address: SocketAddr) -> (bool, SocketAddr) {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    (host.is_loopback(), SocketAddr::new(host, address.port()))
}
