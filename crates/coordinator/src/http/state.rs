//! State that the handlers share.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use data::Sources;
use protocol::setting::Setting;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::challenge::Challenges;
use crate::backup::{ScheduleState, Source};
use crate::blobs::Blobs;
use crate::cluster::ClusterIdentity;
use crate::crash_points::CrashPoints;
use crate::datasets::Datasets;
use crate::datasets::cache::DatasetCache;
use crate::driver::DriverHandle;
use crate::http::auth::cookie::CookieName;
use crate::http::auth::rate_limit::AuthRateLimit;
use crate::http::auth::tickets::Tickets;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::server::headers::Origin;
use crate::http::server::response_counts::ResponseCounts;
use crate::notifications::WebhookSender;
use crate::staging::Staging;
use crate::steps::Trainers;
use crate::store::{Reader, StoreError};
use crate::views::Views;

/// State that every handler can use.
#[derive(Debug, Clone)]
pub(crate) struct ApiState(pub(crate) Arc<ApiParts>);

#[derive(Debug)]
pub(crate) struct ApiParts {
    pub(crate) cluster: ClusterIdentity,
    /// Address on which the coordinator listens.
    pub(crate) address: SocketAddr,
    pub(crate) challenges: Challenges,
    pub(crate) views: Arc<Views>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) blobs: Blobs,
    pub(crate) sources: Arc<Sources>,
    pub(crate) datasets: Datasets,
    /// Cache of datasets for previews.
    pub(crate) dataset_cache: DatasetCache,
    pub(crate) driver: DriverHandle,
    /// Trainers that compute predictions.
    pub(crate) predictor: Trainers,
    /// Settings at startup, for display.
    pub(crate) settings: Vec<Setting>,
    pub(crate) webhook_sender: WebhookSender,
    pub(crate) revision: watch::Receiver<u64>,
    /// Cancelled when long polls must be answered.
    pub(crate) stopping: CancellationToken,
    pub(crate) responses: ResponseCounts,
    pub(crate) auth_rate_limit: AuthRateLimit,
    pub(crate) cookie: CookieName,
    pub(crate) tickets: Tickets,
    /// Other origins whose pages may send requests.
    pub(crate) origins: Vec<Origin>,
    pub(crate) points: CrashPoints,
    /// Files that were uploaded for an import.
    pub(crate) staging: Arc<Staging>,
    /// Lock for converting an uploaded file to rows. It may need much memory, so only one runs at a
    /// time.
    pub(crate) import_lock: Arc<tokio::sync::Mutex<()>>,
    pub(crate) data_dir: PathBuf,
    /// State of the scheduled backups.
    pub(crate) backups: Mutex<ScheduleState>,
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}

impl ApiState {
    /// Returns the inputs of a backup.
    pub(crate) fn backup_source(&self) -> Source {
        Source {
            data_dir: self.data_dir.clone(),
            uploads: self.sources.uploads.clone(),
            blobs: self.blobs.clone(),
            reader: self.reader.clone(),
        }
    }

    /// Reads the database on a blocking thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> ApiResult<T> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || work(&reader)).await;
        Ok(read.map_err(|error| ApiError::internal(error.to_string()))??)
    }
}
