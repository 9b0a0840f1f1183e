//! The coordinator inside the app: no port is needed to show its dashboard, because the window's
//! requests go to its router in this process.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use coordinator::{Observer, Principal, Running, Sources};
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use tokio::sync::watch;
use tower::ServiceExt;

use super::Options;
use crate::commands::access::UPLOADS_FOLDER;
use crate::discovery::Advertisement;
use crate::settings::{BackendSetting, Key, Settings};

/// An answer of the coordinator that doesn't fit in memory twice is no page.
const LARGEST_ANSWER: usize = 1 << 30;
const LEASE_TIMEOUT: Duration = Duration::from_mins(1);

/// A coordinator at work, and the local network's word of it.
pub(super) struct EmbeddedCoordinator {
    running: Running,
    advertisement: Option<Advertisement>,
    pub(super) cluster: String,
}

impl EmbeddedCoordinator {
    /// Starts it in `folder`.
    ///
    /// # Errors
    /// In words for a person.
    pub(super) async fn start(
        folder: &Path,
        options: &Options,
        settings: &Settings,
    ) -> Result<Self, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let trainer = |backend| options.trainer(backend).map_err(|error| words(&error));
        let name = settings.text(Key::ClusterName).value.unwrap_or_default();
        let coordinator = coordinator::CoordinatorSettings {
            data_dir: folder.to_owned(),
            listen: options.listen,
            name: name.clone(),
            certificate: None,
            lease_timeout: LEASE_TIMEOUT,
            trainer: trainer(settings.backend.value)?,
            predictor: trainer(BackendSetting::Cpu)?,
            nice: true,
            shown: settings.shown(),
            sources: Sources::from_environment(folder.join(UPLOADS_FOLDER)),
            allow_origins: Vec::new(),
            maximum_disk_bytes: None,
            backups: None,
        };
        let running = coordinator::start_observed(coordinator, Observer::default())
            .await
            .map_err(|error| words(&error))?;
        let advertisement = Advertisement::start(&running.cluster.id, &name, running.address)
            .inspect_err(|error| tracing::warn!(%error, "the local network is not told"))
            .ok();
        Ok(Self { running, advertisement, cluster: name })
    }

    pub(super) fn url(&self) -> String {
        self.running.https_url()
    }

    /// Whether a job is under way, as it changes.
    pub(super) fn working(&self) -> watch::Receiver<bool> {
        self.running.working.clone()
    }

    /// Ends when the coordinator can't go on.
    pub(super) async fn failed(&self) {
        self.running.failed().await;
    }

    pub(super) async fn stop(self) {
        if let Some(advertisement) = self.advertisement {
            advertisement.stop().await;
        }
        self.running.stop().await;
    }

    /// What answers requests of this process.
    pub(super) fn door(&self) -> InProcessClient {
        InProcessClient(self.running.router.clone())
    }
}

/// Asks the coordinator in this process, as the administrator at this machine.
#[derive(Clone)]
pub struct InProcessClient(axum::Router);

impl InProcessClient {
    /// The answer to a request, whole.
    pub async fn answer(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Principal::local_admin());
        // The window's scheme is nothing that the coordinator knows; to it the request is its own.
        parts.headers.remove(header::ORIGIN);
        parts.headers.remove(header::REFERER);
        let asked = Request::from_parts(parts, Body::from(body));
        // The router's error is that there is none.
        let Ok(answer) = self.0.clone().oneshot(asked).await;
        let (parts, body) = answer.into_parts();
        match to_bytes(body, LARGEST_ANSWER).await {
            Ok(bytes) => Response::from_parts(parts, bytes.to_vec()),
            Err(error) => failed(&error.to_string()),
        }
    }

    /// A join link for one device, this machine's own.
    ///
    /// # Errors
    /// In the coordinator's words.
    pub(super) async fn join_link(&self) -> Result<String, String> {
        let asked = JoinCodeRequest {
            name: "this machine".to_owned(),
            uses: Some(1),
            expires_in: Some(600),
        };
        let body = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
        let request = Request::post("/join-codes")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| error.to_string())?;
        let answer = self.answer(request).await;
        if answer.status() != StatusCode::CREATED {
            return Err(String::from_utf8_lossy(answer.body()).into_owned());
        }
        let created: CreatedJoinCode =
            serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
        Ok(created.link)
    }
}

/// A plain answer that says what went wrong.
fn failed(words: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(words.as_bytes().to_vec());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
