//! The coordinator inside the app: no port is needed to show its dashboard, because the window's
//! requests go to its router in this process.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use coordinator::{Observer, Principal, Running, Sources};
use protocol::PROTOCOL_HEADER;
use protocol::join::{CreatedJoinCode, JoinCodeRequest};
use tokio::sync::watch;
use tower::ServiceExt;

use super::Options;
use crate::commands::access::UPLOADS_FOLDER;
use crate::discovery::Advertisement;
use crate::settings::{BackendChoice, Key, Settings};

/// An answer of the coordinator that doesn't fit in memory twice is no page.
const LARGEST_ANSWER: usize = 1 << 30;
const LEASE_PATIENCE: Duration = Duration::from_mins(1);

/// A coordinator at work, and the local network's word of it.
pub(super) struct InApp {
    running: Running,
    advertisement: Option<Advertisement>,
    pub(super) cluster: String,
}

impl InApp {
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
        let coordinator = coordinator::Settings {
            data_dir: folder.to_owned(),
            listen: options.listen,
            name: name.clone(),
            certificate: None,
            lease_patience: LEASE_PATIENCE,
            trainer: trainer(settings.backend.value)?,
            predictor: trainer(BackendChoice::Cpu)?,
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
    pub(super) fn door(&self) -> Door {
        Door(self.running.router.clone())
    }
}

/// Asks the coordinator in this process, as the administrator at this machine.
#[derive(Clone)]
pub struct Door(axum::Router);

impl Door {
    /// The answer to a request of the page with this origin, whole. What another page could have made
    /// the web view ask is refused, as with a session's cookie (cross-site request forgery).
    pub async fn answer(&self, mut request: Request<Vec<u8>>, origin: &str) -> Response<Vec<u8>> {
        if let Err(reason) = check_origin(&request, origin) {
            return plain(StatusCode::FORBIDDEN, reason);
        }
        // The window's scheme is nothing that the coordinator knows; to it the request is its own.
        request.headers_mut().remove(header::ORIGIN);
        request.headers_mut().remove(header::REFERER);
        self.forward(request).await
    }

    /// The coordinator's answer, whole.
    async fn forward(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Principal::local_admin());
        let asked = Request::from_parts(parts, Body::from(body));
        // The router's error is that there is none.
        let Ok(answer) = self.0.clone().oneshot(asked).await;
        let (parts, body) = answer.into_parts();
        match to_bytes(body, LARGEST_ANSWER).await {
            Ok(bytes) => Response::from_parts(parts, bytes.to_vec()),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
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
        let answer = self.forward(request).await;
        if answer.status() != StatusCode::CREATED {
            return Err(String::from_utf8_lossy(answer.body()).into_owned());
        }
        let created: CreatedJoinCode =
            serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
        Ok(created.link)
    }
}

/// Refuses a request that did not come from the page itself: what says where it comes from says so,
/// and a change carries the header that no form and no link can send.
fn check_origin(request: &Request<Vec<u8>>, origin: &str) -> Result<(), &'static str> {
    let headers = request.headers();
    let is_own = |value: &HeaderValue| {
        let rest = value.to_str().ok().and_then(|value| value.strip_prefix(origin));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let named = headers.get_all(header::ORIGIN).iter().chain(headers.get_all(header::REFERER));
    if !named.into_iter().all(is_own) {
        return Err("this request comes from another page than the dashboard");
    }
    let safe = [Method::GET, Method::HEAD].contains(request.method());
    if safe || headers.contains_key(PROTOCOL_HEADER) {
        return Ok(());
    }
    Err("a change needs the header Constellation-Protocol, which the dashboard's page sends")
}

/// A plain answer that says what went wrong.
fn plain(status: StatusCode, words: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(words.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "dashboard://localhost";

    /// The status of a request to a coordinator that grants everything.
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
        Door(router).answer(request.body(Vec::new()).unwrap(), ORIGIN).await.status()
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
