//! `/models`: the registry of results.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use protocol::api::{Model, ModelChange};
use protocol::job::ModelType;
use protocol::model::ModelSpec;
use protocol::{BlobHash, JobId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Admin, Viewer};
use super::extract::{Body, InPath, InQuery};
use super::problem::{Answer, Failure};
use super::texts::{check_text, line};
use super::{Shared, files};
use crate::driver::{Refusal, blocking};
use crate::register::{NewModel, write_file};
use crate::store::{ModelRow, Reader};

/// Of a class's or a dataset's name.
const LONGEST_TEXT: usize = 10_000;
const LONGEST_STAGE: usize = 50;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(show))
        .routes(routes!(change))
        .routes(routes!(card))
        .routes(routes!(download))
}

/// Every version of every model, by name.
#[utoipa::path(get, path = "/models", tag = "models", security(("token" = ["viewer", "admin"])), responses((status = 200, body = Vec<Model>)))]
async fn list(_: Viewer, State(shared): State<Shared>) -> Answer<Json<Vec<Model>>> {
    let rows = shared.read(Reader::models).await?;
    Ok(Json(rows.into_iter().map(|row| row.model).collect()))
}

/// Body of `POST /models`: a round's model of a job, or a blob with all that a job would know of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
struct ModelRegistration {
    name: String,
    /// The job whose round it is.
    #[serde(default)]
    job: Option<JobId>,
    /// Of that job, from 1; its last closed round where none is named.
    #[serde(default)]
    round: Option<u32>,
    /// Instead of a job: a blob that was sent up, a flat vector in layout order.
    #[serde(default)]
    blob: Option<BlobHash>,
    /// With `blob`.
    #[serde(default)]
    spec: Option<ModelSpec>,
    /// With `blob`.
    #[serde(default)]
    model_type: Option<ModelType>,
    /// With `blob`: what it was trained on.
    #[serde(default)]
    dataset: String,
    /// With `blob`: the classes' names, in the order of the outputs.
    #[serde(default)]
    classes: Vec<String>,
}

/// Registers a model under a name, as its next version.
#[utoipa::path(post, path = "/models", tag = "models", security(("token" = ["admin"])), request_body = ModelRegistration,
    responses((status = 201, body = Model)))]
async fn register(
    admin: Admin,
    State(shared): State<Shared>,
    Body(asked): Body<ModelRegistration>,
) -> Answer<(StatusCode, Json<Model>)> {
    line("invalid-model", "name", &asked.name, 100)?;
    check_text("invalid-model", "dataset", &asked.dataset, LONGEST_TEXT)?;
    for class in &asked.classes {
        check_text("invalid-model", "classes", class, LONGEST_TEXT)?;
    }
    let (new, flat) = match (asked.job, asked.blob) {
        (Some(job), None) => of_job(&shared, asked, job)?,
        (None, Some(blob)) => (of_blob(asked)?, blob),
        (Some(_), Some(_)) | (None, None) => {
            let words = "name a job or a blob, one of them";
            return Err(Failure::invalid("invalid-model", words).at("job"));
        }
    };
    let (blobs, spec) = (shared.blobs.clone(), new.spec.clone());
    let (file, bytes, parameters) = blocking(move || write_file(&blobs, &spec, flat)).await?;
    let new = NewModel { file, bytes, parameters, ..new };
    Ok((StatusCode::CREATED, Json(shared.driver.by(&admin.0).add_model(new).await?)))
}

/// A round's model; the file is still to be written.
fn of_job(shared: &Shared, asked: ModelRegistration, id: JobId) -> Answer<(NewModel, BlobHash)> {
    let view = shared.views.job(id).ok_or(Refusal::UnknownJob(id))?;
    let closed = view.rounds.iter().filter(|round| round.closed_at.is_some());
    let mut chosen = closed.filter(|round| asked.round.is_none_or(|number| number == round.round));
    let round = chosen.next_back();
    let (Some(round), Some(spec)) = (round, view.job.spec.clone()) else {
        let words = "the job has closed no such round; GET /jobs/ID/rounds shows them";
        return Err(Failure::conflict("no-such-round", words).at("round"));
    };
    let Some(flat) = round.model else {
        let words = "the round has no model of its own";
        return Err(Failure::conflict("no-such-round", words).at("round"));
    };
    let job = &view.job;
    let new = NewModel {
        name: asked.name,
        model_type: job.model_type,
        file: flat,
        bytes: 0,
        job: Some(id),
        dataset: job.dataset.clone(),
        classes: view.classes.clone(),
        spec,
        parameters: 0,
        evaluation: round.evaluation.clone(),
        origin: json!({ "job": id, "config": job.config, "rounds": round.round }),
    };
    Ok((new, flat))
}

/// A model from outside; the file is still to be written.
fn of_blob(asked: ModelRegistration) -> Answer<NewModel> {
    let missing = |field| Failure::invalid("invalid-model", "goes with a blob; add it").at(field);
    let spec = asked.spec.ok_or_else(|| missing("spec"))?;
    let model_type = asked.model_type.ok_or_else(|| missing("model_type"))?;
    if asked.classes.len() < 2 {
        return Err(missing("classes"));
    }
    let classes = u32::try_from(asked.classes.len()).unwrap_or(u32::MAX);
    spec.check(classes)
        .map_err(|error| Failure::invalid("invalid-model", error.to_string()).at("spec"))?;
    Ok(NewModel {
        name: asked.name,
        model_type,
        file: BlobHash::from_bytes([0; 32]),
        bytes: 0,
        job: None,
        dataset: asked.dataset,
        classes: asked.classes,
        spec,
        parameters: 0,
        evaluation: None,
        origin: json!({ "uploaded": true }),
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Version {
    /// From 1; the newest where none is named.
    pub(super) version: Option<u32>,
}

/// One model.
#[utoipa::path(get, path = "/models/{name}", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version), responses((status = 200, body = Model)))]
async fn show(
    _: Viewer,
    State(shared): State<Shared>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
) -> Answer<Json<Model>> {
    Ok(Json(find(&shared, name, version.version).await?.model))
}

/// Puts a version of a model in a stage, such as `production`, and any other version of its name out of
/// it; or, by null, the version out of its stage.
#[utoipa::path(patch, path = "/models/{name}", tag = "models", security(("token" = ["admin"])),
    params(("name" = String, Path), Version), request_body = ModelChange,
    responses((status = 200, body = Model)))]
async fn change(
    admin: Admin,
    State(shared): State<Shared>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
    Body(asked): Body<ModelChange>,
) -> Answer<Json<Model>> {
    let checked = |stage: String| line("invalid-model", "stage", &stage, LONGEST_STAGE);
    let stage = asked.stage.map(checked).transpose()?;
    Ok(Json(shared.driver.by(&admin.0).set_stage(name, version.version, stage).await?))
}

/// A model's card: the model, and how it came about.
#[utoipa::path(get, path = "/models/{name}/card", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version), responses((status = 200, body = Object)))]
async fn card(
    _: Viewer,
    State(shared): State<Shared>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
) -> Answer<Json<serde_json::Value>> {
    Ok(Json(find(&shared, name, version.version).await?.card))
}

/// A model's file, safetensors; `ETag` is its BLAKE3.
#[utoipa::path(get, path = "/models/{name}/download", tag = "models", security(("token" = ["viewer", "admin"])),
    params(("name" = String, Path), Version),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
async fn download(
    _: Viewer,
    State(shared): State<Shared>,
    InPath(name): InPath<String>,
    InQuery(version): InQuery<Version>,
    headers: HeaderMap,
) -> Answer<Response> {
    let model = find(&shared, name, version.version).await?.model;
    let mut response = files::send(&shared.blobs, model.blake3, &headers).await?;
    // Letters that could end the header's value stay out of it.
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = model.name.chars().map(plain).collect();
    let disposition = format!("attachment; filename=\"{name}-v{}.safetensors\"", model.version);
    files::insert(response.headers_mut(), header::CONTENT_DISPOSITION, &disposition);
    // A name's newest version changes, unlike a blob.
    files::insert(response.headers_mut(), header::CACHE_CONTROL, "private, no-cache");
    Ok(response)
}

pub(super) async fn find(shared: &Shared, name: String, version: Option<u32>) -> Answer<ModelRow> {
    let words = match version {
        Some(version) => format!("there is no version {version} of a model '{name}'"),
        None => format!("there is no model '{name}'"),
    };
    let found = shared.read(move |reader| reader.model(&name, version)).await?;
    found.ok_or_else(|| Failure::not_found("unknown-model", words))
}
