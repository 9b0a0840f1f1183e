//! `/models`: the model registry.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use protocol::api::{Model, ModelChange};
use protocol::job::ModelType;
use protocol::model::ModelSpec;
use protocol::{BlobHash, JobId, split_version};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::driver::DriverError;
use crate::http::auth::extractors::{Admin, Viewer};
use crate::http::extract::{Archived, Body, InPath, InQuery};
use crate::http::files;
use crate::http::problem::{ApiError, ApiResult};
use crate::http::state::ApiState;
use crate::http::texts::{check_text, line};
use crate::steps::blocking;
use crate::steps::register::{NewModel, write_file};
use crate::store::{ModelRow, Reader};

/// Maximum length of a class name or dataset name.
const LONGEST_TEXT: usize = 10_000;
const LONGEST_NAME: usize = 100;
const LONGEST_STAGE: usize = 50;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(show))
        .routes(routes!(change))
        .routes(routes!(card))
        .routes(routes!(download))
}

/// Lists every version of every model that is not archived, by name.
#[utoipa::path(get, path = "/models", tag = "models", security(("token" = ["viewer", "admin"])), params(Archived),
    responses((status = 200, body = Vec<Model>)))]
async fn list(
    _: Viewer,
    State(shared): State<ApiState>,
    InQuery(asked): InQuery<Archived>,
) -> ApiResult<Json<Vec<Model>>> {
    let models = shared.read(Reader::models).await?.into_iter().map(|row| row.model);
    Ok(Json(models.filter(|model| model.archived == asked.archived).collect()))
}

/// Body of `POST /models`: the model of a job's round, or a blob with the data that a job would
/// supply.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct ModelRegistration {
    name: String,
    /// Job whose round is registered.
    #[serde(default)]
    job: Option<JobId>,
    /// Round of the job, from 1. Default: its last closed round.
    #[serde(default)]
    round: Option<u32>,
    /// Uploaded blob instead of a job: a flat vector in layout order.
    #[serde(default)]
    blob: Option<BlobHash>,
    /// With `blob`.
    #[serde(default)]
    spec: Option<ModelSpec>,
    /// With `blob`.
    #[serde(default)]
    model_type: Option<ModelType>,
    /// With `blob`: dataset that the model was trained on.
    #[serde(default)]
    dataset: String,
    /// With `blob`: class names, in the order of the outputs.
    #[serde(default)]
    classes: Vec<String>,
}

/// Registers a model as the next version of a name.
#[utoipa::path(post, path = "/models", tag = "models", security(("token" = ["admin"])), request_body = ModelRegistration,
    responses((status = 201, body = Model)))]
async fn register(
    admin: Admin,
    State(shared): State<ApiState>,
    Body(asked): Body<ModelRegistration>,
) -> ApiResult<(StatusCode, Json<Model>)> {
    line("invalid-model", "name", &asked.name, LONGEST_NAME)?;
    check_text("invalid-model", "dataset", &asked.dataset, LONGEST_TEXT)?;
    for class in &asked.classes {
        check_text("invalid-model", "classes", class, LONGEST_TEXT)?;
    }
    let (new, flat) = match (asked.job, asked.blob) {
        (Some(job), None) => of_job(&shared, asked, job)?,
        (None, Some(blob)) => (of_blob(asked)?, blob),
        (Some(_), Some(_)) | (None, None) => {
            let words = "name either a job or a blob";
            return Err(ApiError::invalid("invalid-model", words).at("job"));
        }
    };
    let (blobs, spec) = (shared.blobs.clone(), new.spec.clone());
    let (file, bytes, parameters) = blocking(move || write_file(&blobs, &spec, flat)).await?;
    let new = NewModel { file, bytes, parameters, ..new };
    Ok((StatusCode::CREATED, Json(shared.driver.audited(&admin.0).add_model(new).await?)))
}

/// Returns the model of a round. Its file is not written yet.
fn of_job(
    shared: &ApiState,
    asked: ModelRegistration,
    id: JobId,
) -> ApiResult<(NewModel, BlobHash)> {
    let view = shared.views.job(id).ok_or(DriverError::UnknownJob(id))?;
    let closed = view.rounds().filter(|round| round.closed_at.is_some());
    let mut chosen = closed.filter(|round| asked.round.is_none_or(|number| number == round.round));
    let round = chosen.next_back();
    let (Some(round), Some(spec)) = (round, view.job.spec.clone()) else {
        let words = "the job has no such closed round; GET /jobs/ID/rounds lists them";
        return Err(ApiError::conflict("no-such-round", words).at("round"));
    };
    let Some(flat) = round.model else {
        let words = "the round has no model of its own";
        return Err(ApiError::conflict("no-such-round", words).at("round"));
    };
    let job = &view.job;
    let new = NewModel {
        name: asked.name,
        model_type: job.model_type,
        file: flat,
        bytes: 0,
        job: Some(id),
        dataset: job.dataset.clone(),
        dataset_version: job.dataset_version.clone(),
        classes: view.classes().to_vec(),
        spec,
        parameters: 0,
        evaluation: round.evaluation.clone(),
        origin: json!({ "job": id, "config": job.config, "rounds": round.round }),
    };
    Ok((new, flat))
}

/// Returns a model from outside. Its file is not written yet.
fn of_blob(asked: ModelRegistration) -> ApiResult<NewModel> {
    let missing = |field| ApiError::invalid("invalid-model", "is required with a blob").at(field);
    let spec = asked.spec.ok_or_else(|| missing("spec"))?;
    let model_type = asked.model_type.ok_or_else(|| missing("model_type"))?;
    if asked.classes.len() < 2 {
        return Err(missing("classes"));
    }
    let classes = u32::try_from(asked.classes.len()).unwrap_or(u32::MAX);
    spec.check(classes)
        .map_err(|error| ApiError::invalid("invalid-model", error.to_string()).at("spec"))?;
    Ok(NewModel {
        name: asked.name,
        model_type,
        file: BlobHash::from_bytes([0; 32]),
        bytes: 0,
        job: None,
        dataset: asked.dataset,
        dataset_version: None,
        classes: asked.classes,
        spec,
        parameters: 0,
        evaluation: None,
        origin: json!({ "uploaded": true }),
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Version {
    /// Version, from 1. Default: the newest.
    pub(crate) version: Option<u32>,
}

/// Returns one model. `NAME@N` names a version too, here and wherever a model is named.
#[utoipa::path(get, path = "/models/{name}", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version), responses((status = 200, body = Model)))]
async fn show(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
) -> ApiResult<Json<Model>> {
    Ok(Json(find(&shared, name, version.version).await?.model))
}

/// Moves a version of a model to a stage, such as `production`, and any other version of its name
/// out of that stage; or renames a model, with all its versions.
///
/// The body has either `stage` or `name`. A `stage` of `null` removes the version from its stage. Jobs and their
/// settings keep their names.
#[utoipa::path(patch, path = "/models/{name}", tag = "models", security(("token" = ["admin"])),
    params(("name" = String, Path), Version), request_body = ModelChange,
    responses((status = 200, body = Model)))]
async fn change(
    admin: Admin,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
    Body(asked): Body<ModelChange>,
) -> ApiResult<Json<Model>> {
    let by = shared.driver.audited(&admin.0);
    match asked {
        ModelChange { stage: Some(stage), name: None } => {
            let checked = |stage: String| line("invalid-model", "stage", &stage, LONGEST_STAGE);
            let stage = stage.map(checked).transpose()?;
            let model = find(&shared, name, version.version).await?.model;
            Ok(Json(by.set_stage(model.name, Some(model.version), stage).await?))
        }
        ModelChange { stage: None, name: Some(new) } => {
            let new = line("invalid-model", "name", &new, LONGEST_NAME)?;
            if split_version(&new).1.is_some() {
                let words = "must not end with @ and a number, which name a version";
                return Err(ApiError::invalid("invalid-model", words).at("name"));
            }
            Ok(Json(by.rename_model(name, new).await?))
        }
        ModelChange { stage: Some(_), name: Some(_) } | ModelChange { stage: None, name: None } => {
            let words = "send either a stage or a name";
            Err(ApiError::invalid("invalid-model", words).at("stage"))
        }
    }
}

/// Returns a model's card: the model and how it was trained.
#[utoipa::path(get, path = "/models/{name}/card", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version), responses((status = 200, body = Object)))]
async fn card(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
) -> ApiResult<Json<serde_json::Value>> {
    Ok(Json(find(&shared, name, version.version).await?.card))
}

/// Returns a model's safetensors file.
///
/// `ETag` is its BLAKE3 hash. A single range is supported.
#[utoipa::path(get, path = "/models/{name}/download", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>, description = "The requested range"),
        (status = 304, description = "`If-None-Match` names the file")))]
async fn download(
    _: Viewer,
    State(shared): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let model = find(&shared, name, version.version).await?.model;
    let mut response = files::send(&shared.blobs, model.blake3, &headers).await?;
    // Characters that could end the header value are replaced.
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = model.name.chars().map(plain).collect();
    let disposition = format!("attachment; filename=\"{name}-v{}.safetensors\"", model.version);
    files::insert(response.headers_mut(), header::CONTENT_DISPOSITION, &disposition);
    // The newest version of a name changes, unlike a blob.
    files::insert(response.headers_mut(), header::CACHE_CONTROL, "private, no-cache");
    Ok(response)
}

pub(crate) async fn find(
    shared: &ApiState,
    name: String,
    version: Option<u32>,
) -> ApiResult<ModelRow> {
    let words = match version {
        Some(version) => format!("there is no version {version} of a model '{name}'"),
        None => format!("there is no model '{name}'"),
    };
    let read = move |reader: &Reader| {
        let found = reader.model(&name, version)?;
        match split_version(&name) {
            // A model may be named like a version of another.
            (short, Some(number)) if found.is_none() && version.is_none() => {
                reader.model(short, Some(number))
            }
            (_, _) => Ok(found),
        }
    };
    shared.read(read).await?.ok_or_else(|| ApiError::not_found("unknown-model", words))
}
