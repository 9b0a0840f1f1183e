//! Data folder of a coordinator: its lock, database, blobs, identity and own token.

use super::error::StartError;
use crate::access::caller::{Caller, detail};
use crate::backup::{BLOBS_FOLDER, DATABASE_FILE};
use crate::blobs::{Blobs, DiskQuota, is_full};
use crate::clock;
use crate::cluster::{ClusterIdentity, Current, OwnCertificate};
use crate::crash_points::{CrashPoint, CrashPoints};
use crate::datasets::index::DatasetIndex;
use crate::datasets::{Datasets, folders};
use crate::driver::{renew_this_machine, this_machine};
use crate::store::{Batch, Loaded, Reader, Store, StoreError};
use data::Sources;
use platform::{FolderLock, LockError};
use protocol::audit::{Action, SubjectKind};
use std::io;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// File in the data folder with a token for this machine's own commands.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// Opened and locked data folder.
pub(super) struct Opened {
    pub(super) lock: FolderLock,
    pub(super) store: Store,
    pub(super) loaded: Loaded,
    pub(super) reader: Arc<Reader>,
    pub(super) blobs: Blobs,
    pub(super) cluster: ClusterIdentity,
    pub(super) own_certificate: Option<Arc<Current>>,
}

/// Locks and opens the data folder.
pub(super) fn open(
    folder: &Path,
    name: &str,
    own: Option<OwnCertificate>,
    maximum: Option<u64>,
    sources: &Sources,
    points: &CrashPoints,
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
    points.pass(CrashPoint::DatabaseOpened);
    let cluster_id = store.cluster_id(&Uuid::now_v7().to_string()).map_err(broken)?;
    let enrolled = store.device_count().map_err(broken)?;
    let cluster = ClusterIdentity::open(folder, &cluster_id, name, enrolled)?;
    store.seal_secrets(&path, &cluster.secrets).map_err(broken)?;
    let mut loaded = store.load(&cluster_id).map_err(broken)?;
    let blobs = Blobs::open(&folder.join(BLOBS_FOLDER)).map_err(unwritable(folder))?;
    let blobs = blobs.with_points(points.clone()).with_quota(DiskQuota::new(folder, maximum));
    folders::adopt(sources, &blobs, &mut store, &mut loaded).map_err(broken)?;
    keep_own_token(folder, &mut store, &mut loaded, points, &broken)?;
    let own_certificate = own.map(Current::load).transpose()?.map(Arc::new);
    let reader = Arc::new(Reader::new(&path));
    Ok(Opened { lock, store, loaded, reader, blobs, cluster, own_certificate })
}

/// Returns the datasets of a coordinator's data folder, for a command that reads rows without the coordinator.
/// Changes nothing in the folder.
///
/// # Errors
/// If the database can't be read.
pub fn datasets_of(data_dir: &Path, sources: Sources) -> Result<Datasets, StoreError> {
    let uploaded = DatasetIndex::default();
    let database = data_dir.join(DATABASE_FILE);
    if database.exists() {
        for row in Reader::new(&database).datasets_of_any_version()? {
            uploaded.publish(&row.id, Some(&row));
        }
    }
    let blobs = Blobs::existing(&data_dir.join(BLOBS_FOLDER));
    Ok(Datasets::new(Arc::new(sources), uploaded, blobs))
}

/// Converts an I/O error of the folder.
pub(super) fn unwritable(folder: &Path) -> impl Fn(io::Error) -> StartError {
    move |source| {
        let folder = folder.to_owned();
        if is_full(&source) {
            StartError::DiskFull { folder }
        } else {
            StartError::DataDirUnwritable { folder, source }
        }
    }
}

/// Ensures that this machine's own commands have a valid token.
fn keep_own_token(
    folder: &Path,
    store: &mut Store,
    loaded: &mut Loaded,
    points: &CrashPoints,
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
    points.pass(CrashPoint::OwnTokenStored);
    platform::files::write_private(&file, text.token.as_bytes()).map_err(unwritable(folder))
}
