//! Stores what an upload was read as: a version of a dataset.

use std::path::Path;

use data::{AddReport, Dataset, ReadLimits, check_name, is_reserved};
use protocol::dataset::DatasetInfo;

use crate::crash_points::CrashPoint;
use crate::datasets::store_version;
use crate::driver::{DriverError, NewVersion};
use crate::http::auth::extractors::Admin;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;

/// Upload that was received completely.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Name of the dataset.
    pub(crate) name: String,
    /// Whether the name may have versions already.
    pub(crate) is_next: bool,
    /// Names of the files.
    pub(crate) files: Vec<String>,
    /// Folder with the files. It is removed afterwards.
    pub(crate) folder: tempfile::TempDir,
}

/// Reads an upload with `read` and stores it as the next version of its dataset. A failure leaves nothing
/// behind, and no name.
pub(crate) async fn store_upload(
    shared: &ApiState,
    admin: &Admin,
    upload: Upload,
    read: impl FnOnce(&str, &Path, ReadLimits) -> ApiResult<(Dataset, AddReport)> + Send + 'static,
) -> ApiResult<AddReport> {
    let Upload { name, is_next, files, folder } = upload;
    check_new(shared, &name, is_next)?;
    let turn = shared.adding.clone().lock_owned().await;
    let usual = ReadLimits::default();
    let bounds = ReadLimits { disk: usual.disk.min(shared.blobs.quota_left()?), ..usual };
    // Until the version is committed, nothing refers to its shards.
    let _hold = shared.blobs.hold();
    let (blobs, dataset) = (shared.blobs.clone(), name.clone());
    let stored = tokio::task::spawn_blocking(move || -> ApiResult<_> {
        // The requester may be gone before this is done.
        let _turn = turn;
        let (dataset, report) = read(&dataset, folder.path(), bounds)?;
        let plan = serde_json::to_value(&report.plan);
        let plan = plan.map_err(|error| ApiError::internal(error.to_string()))?;
        let row = store_version(&blobs, &dataset, files, plan)?;
        Ok((row, report))
    });
    let (row, report) = stored.await.map_err(|error| ApiError::internal(error.to_string()))??;
    shared.points.pass(CrashPoint::DatasetPlaced);
    let new = NewVersion { name, is_next, row };
    let version = shared.driver.by(&admin.0).add_version(new).await?;
    let info = DatasetInfo { version, ..report.info };
    Ok(AddReport { info, ..report })
}

/// Checks that an upload may have this name, before its files are read.
fn check_new(shared: &ApiState, name: &str, is_next: bool) -> ApiResult<()> {
    check_name(name)
        .map_err(|error| ApiError::invalid("bad-dataset", error.to_string()).at("name"))?;
    if is_reserved(name) {
        let words = format!("'{name}' is a built-in dataset; choose another name");
        return Err(ApiError::conflict("name-taken", words).at("name"));
    }
    match shared.datasets.find(name).and_then(|known| known.uploaded) {
        Some(_) if !is_next => Err(DriverError::DatasetExists(name.to_owned()).into()),
        Some(existing) if existing.dataset.archived_at.is_some() => {
            Err(DriverError::ArchivedDataset(name.to_owned()).into())
        }
        Some(_) | None => Ok(()),
    }
}
