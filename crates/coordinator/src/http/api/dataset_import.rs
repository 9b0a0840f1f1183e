//! Imports of datasets: `POST /datasets/inspect`, and adding files of any source.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use data::{AddReport, DataError, ImportFile, LoadProgress, ReadLimits, RepositoryId, read_files};
use protocol::UploadId;
use protocol::dataset::import::{ImportOptions, ImportPlan};
use protocol::dataset::import_check;
use protocol::dataset::upload::{ImportRequest, ImportSource, InspectRequest};
use protocol::dataset::{AddedDataset, DatasetInfo, FileProblem};
use tempfile::TempDir;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dataset_problems::{check_name, failure, rows};
use super::dataset_uploads::staged;
use crate::crash_points::CrashPoint;
use crate::datasets::store_version;
use crate::driver::NewVersion;
use crate::http::auth::extractors::Admin;
use crate::http::extract::Body;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::staging::StagedFile;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(inspect))
}

/// Shows how files would be imported.
///
/// Reads uploaded files, or a repository of the hub, and returns the plan. Stores nothing. Decisions that the files leave open are in
/// `questions`; an import refuses while there is one.
#[utoipa::path(post, path = "/datasets/inspect", tag = "datasets", security(("token" = ["admin"])),
    request_body = InspectRequest,
    responses(
        (status = 200, body = ImportPlan),
        (status = 422, body = FileProblem, content_type = "application/problem+json",
            description = "Problem details. Lists the first unusable rows if there are too many")
    ))]
async fn inspect(
    _: Admin,
    State(shared): State<ApiState>,
    Body(request): Body<InspectRequest>,
) -> ApiResult<Json<ImportPlan>> {
    let InspectRequest { uploads, hub, plan } = request;
    let import =
        Import::new(&shared, (String::new(), false), &uploads, hub.as_deref(), plan).await?;
    let sources = shared.sources.clone();
    let plan = import.run(&shared, move |import, limits, progress| {
        let plan = sources.inspect(&import.files, &import.options, limits, progress);
        plan.map_err(|error| import.failure(&error))
    });
    Ok(Json(plan.await?))
}

/// Files that are imported under a name.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) name: String,
    /// Whether the name may have versions already.
    pub(super) is_next: bool,
    pub(super) files: Vec<ImportFile>,
    pub(super) options: ImportOptions,
    /// Repository whose files are imported. They are fetched first.
    pub(super) hub: Option<RepositoryId>,
    /// Uploads among the files. They exist until this is dropped.
    pub(super) staged: Vec<Arc<StagedFile>>,
    /// Folder of the other files.
    pub(super) scratch: Option<TempDir>,
}

impl Import {
    async fn new(
        shared: &ApiState,
        (name, is_next): (String, bool),
        uploads: &[ImportSource],
        hub: Option<&str>,
        options: ImportOptions,
    ) -> ApiResult<Self> {
        import_check::check(&options).map_err(|error| {
            let field = format!("plan.{}", error.field);
            ApiError::invalid("bad-plan", error.detail).at(&field)
        })?;
        let hub = match (uploads, hub) {
            ([], None) => {
                let words =
                    "name at least one file of POST /datasets/uploads, or a repository in `hub`";
                return Err(ApiError::invalid("bad-dataset", words).at("uploads"));
            }
            ([_, ..], Some(_)) => {
                let words = "give either `uploads` or `hub`";
                return Err(ApiError::invalid("bad-dataset", words).at("hub"));
            }
            (_, hub) => hub.map(repository).transpose()?,
        };
        let mut seen = HashSet::<UploadId>::new();
        let (mut files, mut all) = (Vec::new(), Vec::new());
        for source in uploads {
            if !seen.insert(source.id) {
                let words = format!("the upload {} appears more than once", source.id);
                return Err(ApiError::invalid("bad-dataset", words).at("uploads"));
            }
            let file = staged(shared, source.id).await.map_err(|error| error.at("uploads"))?;
            let state = file.state()?;
            if !state.is_complete() {
                let words = format!(
                    "{} has {} of {} bytes; upload the rest first",
                    state.filename, state.received, state.length
                );
                return Err(ApiError::conflict("incomplete-upload", words).at("uploads"));
            }
            files.push(ImportFile { path: file.path().to_owned(), role: source.role });
            all.push(file);
        }
        Ok(Self { name, is_next, files, options, hub, staged: all, scratch: None })
    }

    /// Reads the files on a blocking thread, one import at a time. Reports the number of rows in the state of
    /// the uploads.
    async fn run<T: Send + 'static>(
        mut self,
        shared: &ApiState,
        work: impl FnOnce(&Self, ReadLimits, &mut dyn FnMut(LoadProgress)) -> ApiResult<T>
        + Send
        + 'static,
    ) -> ApiResult<T> {
        let turn = shared.import_lock.clone().lock_owned().await;
        let usual = ReadLimits::default();
        let limits = ReadLimits { disk: usual.disk.min(shared.blobs.quota_left()?), ..usual };
        let sources = shared.sources.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The requester may be gone before this is done.
            let _turn = turn;
            if let Some(id) = &self.hub {
                let fetched = sources.fetch_repository(id, &mut |_| {});
                self.files = fetched.map_err(|error| self.failure(&error).at("hub"))?;
            }
            self.set_rows_read(Some(0));
            let done = work(&self, limits, &mut |progress| match progress {
                LoadProgress::Reading { rows } => self.set_rows_read(Some(rows)),
                LoadProgress::Downloading { .. } => {}
            });
            self.set_rows_read(None);
            done
        });
        done.await.map_err(|error| ApiError::internal(error.to_string()))?
    }

    fn set_rows_read(&self, rows: Option<u64>) {
        for file in &self.staged {
            file.set_rows_read(rows);
        }
    }

    /// Returns the error of the files without their paths on this disk.
    fn failure(&self, error: &DataError) -> ApiError {
        let staged = self.staged.iter().map(|file| file.folder());
        let folders = staged.chain(self.scratch.iter().map(TempDir::path));
        let without =
            |words: String, folder: &Path| words.replace(&format!("{}/", folder.display()), "");
        failure(error, folders.fold(error.to_string(), without))
    }
}

fn repository(id: &str) -> ApiResult<RepositoryId> {
    RepositoryId::parse(id).ok_or_else(|| {
        let words = "must be OWNER/NAME or OWNER/NAME:CONFIG, such as fancyzhx/ag_news";
        ApiError::invalid("bad-dataset", words).at("hub")
    })
}

/// Adds uploaded files or a repository as a dataset, and deletes the uploads.
pub(super) async fn add_uploads(
    admin: &Admin,
    shared: &ApiState,
    request: ImportRequest,
) -> ApiResult<AddedDataset> {
    let ImportRequest { name, new_version, uploads, hub, plan } = request;
    check_name(shared, &name, new_version)?;
    let import = Import::new(shared, (name, new_version), &uploads, hub.as_deref(), plan).await?;
    let added = add(admin, shared, import).await?;
    for source in uploads {
        shared.staging.remove(source.id);
    }
    Ok(added)
}

/// Adds files as a version of a dataset. A failure leaves nothing behind, and no name.
pub(super) async fn add(
    admin: &Admin,
    shared: &ApiState,
    import: Import,
) -> ApiResult<AddedDataset> {
    let (name, is_next) = (import.name.clone(), import.is_next);
    let (blobs, unpacked) = (shared.blobs.clone(), shared.blobs.scratch_dir()?);
    // Until the version is committed, nothing refers to its shards.
    let _hold = shared.blobs.hold();
    let stored = import.run(shared, move |import, limits, progress| {
        let Import { name, files, options, .. } = import;
        let (dataset, report) = read_files(name, files, options, limits, unpacked.path(), progress)
            .map_err(|error| import.failure(&error))?;
        let plan = serde_json::to_value(&report.plan);
        let plan = plan.map_err(|error| ApiError::internal(error.to_string()))?;
        let named = |file: &ImportFile| {
            file.path.file_name().map(|name| name.to_string_lossy().into_owned())
        };
        let files = files.iter().filter_map(named).collect();
        Ok((store_version(&blobs, &dataset, files, plan)?, report))
    });
    let (row, added) = stored.await?;
    shared.points.pass(CrashPoint::DatasetPlaced);
    let new = NewVersion { name, is_next, row };
    let version = shared.driver.audited(&admin.0).add_version(new).await?;
    let info = DatasetInfo { version, ..added.info };
    Ok(report(AddReport { info, ..added }))
}

fn report(added: AddReport) -> AddedDataset {
    AddedDataset {
        problems: rows(&added.problems),
        info: added.info,
        understood: added.understood,
        bad_rows: added.bad_rows,
        plan: added.plan,
    }
}
