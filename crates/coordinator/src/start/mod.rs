//! Startup and shutdown of a coordinator.

mod data_folder;
mod error;
mod running;
mod settings;

use crate::access::caller::Caller;
use crate::access::challenge::Challenges;
use crate::backup::{ScheduleState, Scheduled};
use crate::blobs::Blobs;
use crate::cluster::{ClusterError, server_config};
use crate::crash_points::{CrashPoint, CrashPoints};
use crate::datasets::Datasets;
use crate::datasets::cache::DatasetCache;
use crate::driver::{self, DriverError, DriverHandle};
use crate::http;
use crate::http::auth::cookie::CookieName;
use crate::http::auth::rate_limit::AuthRateLimit;
use crate::http::auth::tickets::Tickets;
use crate::http::server::response_counts::ResponseCounts;
use crate::http::server::serve::serve;
use crate::http::state::{ApiParts, ApiState};
use crate::notifications::WebhookSender;
use crate::observer::Observer;
use crate::staging::Staging;
use crate::steps::StepContext;
use crate::steps::Trainers;
use crate::store::StoreError;
use crate::views::Views;
pub use data_folder::{ADMIN_TOKEN_FILE, datasets_of};
pub use error::StartError;
pub use running::Running;
pub use settings::CoordinatorSettings;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use data_folder::{Opened, open, unwritable};
use running::https_url;

/// File in the data folder that contains the coordinator's URL. Written at every start.
pub const ADDRESS_FILE: &str = "address";

/// Starts a coordinator.
///
/// # Errors
/// Fails with a [`StartError`]. The coordinator is then not running.
pub async fn start(settings: CoordinatorSettings) -> Result<Running, StartError> {
    start_observed(settings, Observer::default()).await
}

/// Starts a coordinator, like [`start`], and reports the coordinator's actions to an observer.
///
/// # Errors
/// Fails with a [`StartError`]. The coordinator is then not running.
pub async fn start_observed(
    settings: CoordinatorSettings,
    observer: Observer,
) -> Result<Running, StartError> {
    let open_files = platform::process::raise_open_files();
    tracing::debug!(open_files, "open file limit");
    let points = observer.points.clone();
    let opened = open_data_folder(&settings, points.clone()).await?;
    let (listener, address) = listen(settings.listen).await?;
    let tls = server_config(opened.cluster.certified.clone(), opened.own_certificate.clone())
        .map_err(ClusterError::from)?;

    let (views, sources) = (Arc::new(Views::default()), Arc::new(settings.sources));
    let datasets = Datasets::new(sources.clone(), views.datasets.clone(), opened.blobs.clone());
    let ((revision, revisions), working) = (watch::channel(0), views.working());
    let webhook_sender = WebhookSender::new(&settings.name);
    let [trainers, predictor] =
        [settings.trainer, settings.predictor].map(|program| Trainers::new(program, settings.nice));
    let (stopping, driver_ended) = (CancellationToken::new(), CancellationToken::new());
    let steps = StepContext {
        runtime: Handle::current(),
        blobs: opened.blobs.clone(),
        datasets: datasets.clone(),
        trainers: trainers.clone(),
        observer,
    };
    let parts = driver::DriverParts {
        store: opened.store,
        loaded: opened.loaded,
        blobs: opened.blobs.clone(),
        views: views.clone(),
        revision,
        lease_timeout: settings.lease_timeout,
        steps,
        webhook_sender: webhook_sender.clone(),
        secrets: opened.cluster.secrets.clone(),
        own_certificate: opened.own_certificate.clone(),
        lock: opened.lock,
        ended: driver_ended.clone(),
    };
    let (driver, driver_thread) = driver::spawn(parts).map_err(StartError::Thread)?;
    let shared = ApiState(Arc::new(ApiParts {
        cluster: opened.cluster.clone(),
        address,
        challenges: Challenges::new(rand::random()),
        views,
        reader: opened.reader,
        staging: staging(&settings.data_dir, opened.blobs.clone(), &stopping)?,
        blobs: opened.blobs,
        dataset_cache: DatasetCache::new(datasets.clone()),
        sources,
        datasets,
        driver: driver.clone(),
        predictor: predictor.clone(),
        settings: settings.shown,
        webhook_sender,
        revision: revisions,
        stopping: stopping.clone(),
        responses: ResponseCounts::default(),
        auth_rate_limit: AuthRateLimit::default(),
        cookie: CookieName::new(&opened.cluster.id),
        tickets: Tickets::default(),
        origins: settings.allow_origins,
        points: points.clone(),
        import_lock: Arc::default(),
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
    record_start(&driver, &opened.cluster.id, address, &settings.data_dir).await?;
    points.pass(CrashPoint::AddressWritten);
    let server = tokio::spawn(serve(listener, router.clone(), tls, stopping.clone()));
    if let Some(own) = opened.own_certificate {
        let stopping = stopping.clone();
        tokio::spawn(async move { own.follow(stopping).await });
    }
    tracing::info!(%address, "listening");
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

/// Opens the data folder, and removes partial dataset downloads.
async fn open_data_folder(
    settings: &CoordinatorSettings,
    points: CrashPoints,
) -> Result<Opened, StartError> {
    // An earlier version accepted any name. Devices reject names with invisible characters, so
    // these are removed.
    let (folder, name) = (settings.data_dir.clone(), protocol::text::cleaned(&settings.name));
    let (own, maximum) = (settings.certificate.clone(), settings.maximum_disk_bytes);
    let sources = settings.sources.clone();
    let prepared =
        tokio::task::spawn_blocking(move || open(&folder, &name, own, maximum, &sources, &points))
            .await;
    let opened = prepared.map_err(|error| StartError::Thread(io::Error::other(error)))??;
    // Safe here, because this process now has exclusive use of the folder. A failure does no harm.
    if let Err(error) = settings.sources.remove_partial_datasets() {
        tracing::warn!(%error, "could not remove partial dataset downloads");
    }
    Ok(opened)
}

/// Opens the staged files, and deletes unused ones until `stopping` is cancelled.
fn staging(
    folder: &Path,
    blobs: Blobs,
    stopping: &CancellationToken,
) -> Result<Arc<Staging>, StartError> {
    let staging = Arc::new(Staging::open(folder, blobs).map_err(unwritable(folder))?);
    tokio::spawn(staging.clone().run(stopping.clone()));
    Ok(staging)
}

/// Records the start in the audit log.
async fn record_start(
    driver: &DriverHandle,
    cluster_id: &str,
    address: SocketAddr,
    folder: &Path,
) -> Result<(), StartError> {
    let caller = Caller::coordinator();
    let recorded = driver.audited(&caller).started(cluster_id.to_owned(), address).await;
    recorded.map_err(|error| {
        driver.stop();
        let folder = folder.to_owned();
        if error == DriverError::Store(StoreError::Full) {
            return StartError::DiskFull { folder };
        }
        StartError::Database { folder, reason: error.to_string() }
    })
}

/// Listens on the address. Also returns the actual address, with the port that the system chose.
async fn listen(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            return StartError::AddressInUse { address: wanted };
        }
        StartError::Listen { address: wanted, source }
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn write_address(folder: &Path, address: SocketAddr) -> Result<(), StartError> {
    let file = folder.join(ADDRESS_FILE);
    platform::files::write_private(&file, https_url(address).as_bytes()).map_err(unwritable(folder))
}
