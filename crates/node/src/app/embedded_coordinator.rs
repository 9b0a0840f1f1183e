//! Coordinator inside the app. The dashboard window needs no port: its requests go to the router in
//! this process.

use std::path::Path;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use coordinator::{Observer, Principal, Running, Sources};
use protocol::PROTOCOL_HEADER;
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use tokio::sync::watch;
use tower::ServiceExt;

use super::Options;
use crate::commands::access::UPLOADS_FOLDER;
use crate::commands::coordinator::LEASE_TIMEOUT;
use crate::discovery::Advertisement;
use crate::settings::{BackendSetting, Key, Settings};

/// Maximum size of a response, which is held in memory whole.
const LARGEST_ANSWER: usize = 1 << 30;

/// Running coordinator and its announcement on the local network.
pub(super) struct EmbeddedCoordinator {
    running: Running,
    advertisement: Option<Advertisement>,
    pub(super) cluster: String,
}

impl EmbeddedCoordinator {
    /// Starts a coordinator in `folder`.
    ///
    /// # Errors
    /// Returns a message for a person.
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

    /// Returns a receiver of whether a job is running.
    pub(super) fn working(&self) -> watch::Receiver<bool> {
        self.running.working.clone()
    }

    /// Waits until the coordinator fails for good.
    pub(super) async fn failed(&self) {
        self.running.failed().await;
    }

    pub(super) async fn stop(self) {
        if let Some(advertisement) = self.advertisement {
            advertisement.stop().await;
        }
        self.running.stop().await;
    }

    /// Returns a client for requests from this process.
    pub(super) fn in_process_client(&self) -> InProcessClient {
        InProcessClient(self.running.router.clone())
    }
}

/// Client that calls the coordinator in this process with the local administrator's rights.
#[derive(Clone)]
pub struct InProcessClient(axum::Router);

impl InProcessClient {
    /// Forwards a request of the page with this origin and returns the whole response. Rejects
    /// requests of other pages (cross-site request forgery), as for session cookies.
    pub async fn answer(&self, mut request: Request<Vec<u8>>, origin: &str) -> Response<Vec<u8>> {
        if let Err(reason) = check_origin(&request, origin) {
            return plain(StatusCode::FORBIDDEN, reason);
        }
        // The coordinator doesn't know the window's scheme. Without this header the request is same-origin.
        request.headers_mut().remove(header::ORIGIN);
        request.headers_mut().remove(header::REFERER);
        self.forward(request).await
    }

    /// Returns the coordinator's whole response.
    async fn forward(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Principal::local_admin());
        let asked = Request::from_parts(parts, Body::from(body));
        // The router's error type is `Infallible`.
        let Ok(answer) = self.0.clone().oneshot(asked).await;
        let (parts, body) = answer.into_parts();
        match to_bytes(body, LARGEST_ANSWER).await {
            Ok(bytes) => Response::from_parts(parts, bytes.to_vec()),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// Creates a join link for one device: this machine.
    ///
    /// # Errors
    /// Returns the coordinator's message.
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
        let answer = self.forward(request).await;
        if answer.status() != StatusCode::CREATED {
            return Err(String::from_utf8_lossy(answer.body()).into_owned());
        }
        let created: CreatedJoinCode =
            serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
        Ok(created.link)
    }
}

/// Rejects a request that did not come from the page itself. Checks the headers that name the origin;
/// a change also needs the header that forms and links can't send.
fn check_origin(request: &Request<Vec<u8>>, origin: &str) -> Result<(), &'static str> {
    let headers = request.headers();
    let is_own = |value: &HeaderValue| {
        let rest = value.to_str().ok().and_then(|value| value.strip_prefix(origin));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let named = headers.get_all(header::ORIGIN).iter().chain(headers.get_all(header::REFERER));
    if !named.into_iter().all(is_own) {
        return Err("the request comes from a page other than the dashboard");
    }
    let safe = [Method::GET, Method::HEAD].contains(request.method());
    if safe || headers.contains_key(PROTOCOL_HEADER) {
        return Ok(());
    }
    Err("the header Constellation-Protocol is missing; the dashboard sends it with each change")
}

/// Returns a plain-text error response.
fn plain(status: StatusCode, words: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(words.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "dashboard://localhost";

    /// Returns the status of a request to a coordinator that grants everything.
    async fn status(method: Method, headers: &[(&str, &str)]) -> StatusCode {
        let router = axum::Router::new().fallback(|request: Request<Body>| async move {
            let is_admin = request.extensions().get::<Principal>().is_some();
            let is_bare = !request.headers().contains_key(header::ORIGIN);
            if is_admin && is_bare { StatusCode::OK } else { StatusCode::IM_A_TEAPOT }
        });
        let mut request = Request::builder().method(method).uri("/join-codes");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        InProcessClient(router).answer(request.body(Vec::new()).unwrap(), ORIGIN).await.status()
    }

    #[tokio::test]
    async fn what_another_page_could_ask_of_the_dashboard_s_door_is_refused() {
        let ours = ("constellation-protocol", "1");
        let cases = [
            (true, vec![ours]),
            (true, vec![ours, ("origin", ORIGIN)]),
            (true, vec![ours, ("referer", "dashboard://localhost/#/jobs")]),
            (false, vec![]),
            (false, vec![("origin", ORIGIN)]),
            (false, vec![ours, ("origin", "null")]),
            (false, vec![ours, ("origin", "tauri://localhost")]),
            (false, vec![ours, ("origin", "https://example.invalid")]),
            (false, vec![ours, ("origin", "dashboard://localhost.example")]),
            (false, vec![ours, ("origin", ORIGIN), ("referer", "https://example.invalid/")]),
        ];
        for (allowed, headers) in cases {
            let expected = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(status(method, &headers).await, expected, "{headers:?}");
            }
        }
        assert_eq!(status(Method::GET, &[]).await, StatusCode::OK);
        let foreign = [("origin", "https://example.invalid")];
        assert_eq!(status(Method::GET, &foreign).await, StatusCode::FORBIDDEN);
    }
}
