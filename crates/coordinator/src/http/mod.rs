//! The HTTP API: one router for every transport. Each resource has a file; what all share is here.

mod audit;
mod auth;
mod backup;
mod blobs;
mod connection;
mod cookie;
mod dataset;
mod datasets;
mod device;
mod devices;
mod downloads;
mod enrol;
mod envelope;
mod events;
mod extract;
mod failures;
mod files;
mod headers;
mod host;
mod job_check;
mod job_history;
mod jobs;
mod join_codes;
mod leases;
mod metrics;
mod models;
mod notices;
mod pages;
mod patience;
mod peer;
mod predict;
mod problem;
mod profile;
mod public;
mod revocable;
mod serve;
mod sessions;
mod settings;
mod strangers;
mod texts;
mod tokens;
mod under_way;
mod usage;
mod webhooks;

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::{Json, Router};
use data::Sources;
use protocol::api::{Health, Role};
use protocol::setting::Setting;
use protocol::{PROTOCOL_VERSION, Problem};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

pub(crate) use cookie::CookieName;
pub(crate) use downloads::Tickets;
pub(crate) use failures::Failures;
pub use headers::{InvalidOrigin, Origin};
pub(crate) use metrics::Requests;
pub(crate) use serve::serve;

use crate::backup::{ScheduleState, Source};
use crate::blobs::Blobs;
use crate::challenge::Challenges;
use crate::cluster::ClusterIdentity;
use crate::driver::DriverHandle;
use crate::evaluate::Trainers;
use crate::points::Points;
use crate::shelf::Shelf;
use crate::store::{Reader, StoreError};
use crate::telling::Courier;
use crate::views::Views;
use envelope::{Authenticate, Envelope};
use problem::{Answer, Failure};

/// The largest JSON body.
const MOST_JSON: usize = 1 << 20;

/// What every handler can reach.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) cluster: ClusterIdentity,
    /// Where the coordinator listens.
    pub(crate) address: SocketAddr,
    pub(crate) challenges: Challenges,
    pub(crate) views: Arc<Views>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) blobs: Blobs,
    pub(crate) sources: Arc<Sources>,
    /// Datasets that people look at.
    pub(crate) shelf: Shelf,
    pub(crate) driver: DriverHandle,
    /// Answers predictions.
    pub(crate) predictor: Trainers,
    /// What it was started with, as people see it.
    pub(crate) settings: Vec<Setting>,
    pub(crate) courier: Courier,
    pub(crate) revision: watch::Receiver<u64>,
    /// Cancelled when long-polls must be answered.
    pub(crate) stopping: CancellationToken,
    pub(crate) requests: Requests,
    pub(crate) failures: Failures,
    pub(crate) cookie: CookieName,
    pub(crate) tickets: Tickets,
    /// Pages of other origins that may ask.
    pub(crate) origins: Vec<Origin>,
    pub(crate) points: Points,
    /// Held by who makes rows of a person's file: it may take much memory, so one at a time.
    pub(crate) adding: Arc<tokio::sync::Mutex<()>>,
    pub(crate) data_dir: PathBuf,
    /// How the scheduled backups go.
    pub(crate) backups: Mutex<ScheduleState>,
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Shared {
    /// What a backup takes.
    pub(crate) fn backup_source(&self) -> Source {
        Source {
            data_dir: self.data_dir.clone(),
            uploads: self.sources.uploads.clone(),
            blobs: self.blobs.clone(),
            reader: self.reader.clone(),
        }
    }

    /// Reads the database where that holds up nobody.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || work(&reader)).await;
        Ok(read.map_err(|error| Failure::internal(error.to_string()))??)
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Constellation",
        description = "The coordinator's API. Errors are RFC 9457 problem details."
    ),
    components(schemas(Problem))
)]
struct Documentation;

/// Every path, with what all of them have in common.
pub(crate) fn router(shared: Shared) -> Router {
    let routes = OpenApiRouter::with_openapi(Documentation::openapi())
        .routes(routes!(health))
        .merge(audit::routes())
        .merge(backup::routes())
        .merge(blobs::routes())
        .merge(dataset::routes())
        .merge(datasets::routes())
        .merge(device::routes())
        .merge(devices::routes())
        .merge(downloads::routes())
        .merge(events::routes())
        .merge(job_check::routes())
        .merge(job_history::routes())
        .merge(jobs::routes())
        .merge(join_codes::routes())
        .merge(leases::routes())
        .merge(metrics::routes())
        .merge(models::routes())
        .merge(enrol::routes())
        .merge(notices::routes())
        .merge(pages::routes())
        .merge(predict::routes())
        .merge(profile::routes())
        .merge(sessions::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(usage::routes())
        .merge(webhooks::routes());
    let (routes, mut api) = routes.split_for_parts();
    describe_access(&mut api, &shared.cookie);
    let served = routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", api))
        .route_layer(Authenticate(shared.clone()))
        .fallback(unknown_path)
        .layer((Envelope(shared.clone()), DefaultBodyLimit::max(MOST_JSON)));
    headers::allow(served, &shared.origins).with_state(shared)
}

/// Says in the document how a token and a session are shown, and of each operation who may ask. Nothing
/// is said of one that declares no role and is not public; a test finds it.
fn describe_access(api: &mut utoipa::openapi::OpenApi, cookie: &CookieName) {
    let mut token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    token.description = Some(
        "A token. On the coordinator's own machine also the session that `POST /sessions` gave there."
            .to_owned(),
    );
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie.as_str())));
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme("session", session);
    let mut join_code = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    join_code.description = Some("The proof that a join code makes.".to_owned());
    components.add_security_scheme("join_code", SecurityScheme::Http(join_code));
    for (route, path) in &mut api.paths.paths {
        let operations = [
            (Method::GET, &mut path.get),
            (Method::HEAD, &mut path.head),
            (Method::PUT, &mut path.put),
            (Method::POST, &mut path.post),
            (Method::PATCH, &mut path.patch),
            (Method::DELETE, &mut path.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            describe_problems(operation);
            let declared = operation.security.get_or_insert_default();
            if public::is_public(&method, route) {
                // What is declared there are credentials that the handler looks at by itself.
            } else if declared.is_empty() {
                // An empty list would say that it is public.
                operation.security = None;
            } else {
                declared.extend(of_sessions(declared));
            }
        }
    }
}

/// Whatever is not as it is described is a problem.
fn describe_problems(operation: &mut Operation) {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new()
        .description("A problem")
        .content("application/problem+json", problem)
        .build();
    operation.responses.responses.insert("default".to_owned(), response.into());
}

/// What sessions may do of what tokens may: people's share.
fn of_sessions(declared: &[SecurityRequirement]) -> Option<SecurityRequirement> {
    let declared = serde_json::to_value(declared).ok()?;
    let roles = declared.as_array()?.iter().filter_map(|one| one.get("token")?.as_array());
    let roles = roles.flatten().filter_map(|role| role.as_str());
    let people = [Role::Viewer.word(), Role::Admin.word()];
    let roles: Vec<&str> = roles.filter(|role| people.contains(role)).collect();
    (!roles.is_empty()).then(|| SecurityRequirement::new("session", roles))
}

/// Whether the coordinator answers, and what it is.
#[utoipa::path(get, path = "/health", tag = "status", responses((status = 200, body = Health)))]
async fn health(State(shared): State<Shared>) -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL_VERSION,
        name: shared.cluster.name.clone(),
    })
}

async fn unknown_path(request: Request) -> Failure {
    let path = request.uri().path();
    Failure::not_found("unknown-path", format!("there is nothing at {path}; /docs shows what is"))
}
