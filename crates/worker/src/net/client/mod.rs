//! Client of the coordinator's API: one method for each request.

mod waits;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::device::{Heartbeat, HeartbeatAnswer};
use protocol::enrollment::{Challenge, DeviceRegistration, Registered};
use protocol::join::exchange::NotProven;
use protocol::join::{JoinProof, JoinSecret};
use protocol::lease::{LeaseReturn, Progress, ProgressAnswer, Update, UpdateAnswer};
use protocol::{BlobHash, DeviceId, LeaseId, Pin};
use reqwest::header::{CONTENT_LENGTH, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::response::{
    Download, NextJob, RequestError, UPLOAD_COMPLETE, UPLOAD_OFFSET, UploadResult, UploadStatus,
    answer, content_length, json, range_start, refusal, retry_after, timed_out, unreachable,
    upload_offset,
};
use super::typed_code_exchange;
use crate::identity::Cluster;

/// Time limit for an ordinary request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Seconds that the coordinator may hold a request for work before it answers that there is none.
const LONG_POLL_SECONDS: u64 = 25;

pub(crate) struct Client {
    /// The coordinator's current URL, `None` while it is not known.
    coordinator: watch::Receiver<Option<String>>,
    /// Pin of the trusted coordinator.
    pin: Mutex<Option<Pin>>,
    /// HTTP client for the coordinator's current address and pin.
    endpoint: Mutex<Option<Endpoint>>,
    /// The device's token.
    token: Mutex<Option<String>>,
    /// Time over which a fleet spreads its reconnection after it lost all connections at once.
    spread: Mutex<Duration>,
    /// Number of times that the machine woke from sleep.
    wakes: watch::Sender<u64>,
}

impl Client {
    pub(crate) fn new(coordinator: watch::Receiver<Option<String>>, pin: Option<Pin>) -> Self {
        Self {
            coordinator,
            pin: Mutex::new(pin),
            endpoint: Mutex::default(),
            token: Mutex::default(),
            spread: Mutex::default(),
            wakes: watch::Sender::new(0),
        }
    }

    /// Sets the token of later requests.
    pub(crate) fn set_token(&self, token: Option<String>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Sets the spread that the coordinator asks for, in seconds. An invalid number counts as none.
    pub(crate) fn set_spread(&self, seconds: f64) {
        let spread = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        *self.spread.lock().unwrap_or_else(PoisonError::into_inner) = spread;
    }

    /// Sets the pin of the trusted coordinator.
    pub(crate) fn set_pin(&self, pin: Pin) {
        *self.pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(pin);
    }

    fn explained(&self, error: RequestError) -> RequestError {
        let endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        match &*endpoint {
            Some(endpoint) => endpoint.explained(error),
            None => error,
        }
    }

    /// The coordinator's current URL.
    pub(crate) fn url(&self) -> Option<String> {
        self.coordinator.borrow().clone()
    }

    /// Whether the coordinator's URL may still change.
    pub(crate) fn may_move(&self) -> bool {
        self.coordinator.has_changed().is_ok()
    }

    /// Exchanges a typed code with the coordinator at `url`. Returns its cluster if it proves that it knows
    /// the code.
    pub(crate) async fn join(
        &self,
        url: Option<&str>,
        secret: &JoinSecret,
    ) -> Result<Result<Cluster, NotProven>, RequestError> {
        typed_code_exchange::join(url.ok_or(RequestError::NoCoordinator)?, secret).await
    }

    /// Requests a challenge to sign for a registration.
    pub(crate) async fn challenge(&self) -> Result<Challenge, RequestError> {
        self.json(self.request(Method::POST, "/devices/challenge")?).await
    }

    pub(crate) async fn register(
        &self,
        registration: &DeviceRegistration,
        proof: &JoinProof,
    ) -> Result<Registered, RequestError> {
        let request = self.request(Method::POST, "/devices/register")?.bearer_auth(proof.bearer());
        self.json(request.json(registration)).await
    }

    pub(crate) async fn heartbeat(
        &self,
        device: DeviceId,
        heartbeat: &Heartbeat,
    ) -> Result<HeartbeatAnswer, RequestError> {
        self.send(Method::POST, &format!("/devices/{device}/heartbeat"), heartbeat).await
    }

    /// Removes the device from the cluster.
    pub(crate) async fn leave(&self, device: DeviceId) -> Result<(), RequestError> {
        let path = format!("/devices/{device}/leave");
        self.answer(self.authorized(Method::POST, &path)?, REQUEST_TIMEOUT).await.map(drop)
    }

    /// Requests a lease by a long poll.
    pub(crate) async fn next_job(&self, device: DeviceId) -> Result<NextJob, RequestError> {
        let path = format!("/devices/{device}/next-job?wait={LONG_POLL_SECONDS}");
        let request = self.authorized(Method::GET, &path)?;
        let limit = REQUEST_TIMEOUT + Duration::from_secs(LONG_POLL_SECONDS);
        let response = self.answer(request, limit).await?;
        if response.status() == StatusCode::NO_CONTENT {
            let retry_after = retry_after(&response).unwrap_or_default();
            return Ok(NextJob::Nothing { retry_after });
        }
        Ok(NextJob::Lease(Box::new(self.unless_woken(json(response)).await?)))
    }

    pub(crate) async fn progress(
        &self,
        lease: LeaseId,
        progress: &Progress,
    ) -> Result<ProgressAnswer, RequestError> {
        self.send(Method::POST, &format!("/leases/{lease}/progress"), progress).await
    }

    pub(crate) async fn return_lease(
        &self,
        lease: LeaseId,
        reason: &LeaseReturn,
    ) -> Result<(), RequestError> {
        let request = self.authorized(Method::POST, &format!("/leases/{lease}/return"))?;
        self.answer(request.json(reason), REQUEST_TIMEOUT).await.map(drop)
    }

    pub(crate) async fn submit_update(
        &self,
        lease: LeaseId,
        update: &Update,
    ) -> Result<UpdateAnswer, RequestError> {
        self.send(Method::PUT, &format!("/leases/{lease}/update"), update).await
    }

    /// Returns the length in bytes of a blob that a lease names.
    pub(crate) async fn blob_length(&self, blob: &BlobHash) -> Result<u64, RequestError> {
        let request = self.authorized(Method::HEAD, &format!("/blobs/{blob}"))?;
        let response = self.answer(request, REQUEST_TIMEOUT).await?;
        content_length(&response)
            .ok_or_else(|| RequestError::InvalidResponse("no Content-Length for a blob".into()))
    }

    /// Requests a blob's bytes from offset `from` on.
    pub(crate) async fn download(
        &self,
        blob: &BlobHash,
        from: u64,
    ) -> Result<Download, RequestError> {
        let mut request = self.authorized(Method::GET, &format!("/blobs/{blob}"))?;
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        // The time limit covers the headers only, because the body may be long. The reader of the body
        // has a time limit for each piece.
        let sent = async {
            let sent = timeout(REQUEST_TIMEOUT, request.send()).await;
            sent.map_err(|_| timed_out())?.map_err(|error| unreachable(&error))
        };
        let response = self.unless_woken(sent).await?;
        match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Download::OutOfRange),
            StatusCode::PARTIAL_CONTENT => match range_start(&response) {
                Some(start) => Ok(Download::From { start, response }),
                None => Err(RequestError::InvalidResponse("206 without a Content-Range".into())),
            },
            StatusCode::OK => Ok(Download::From { start: 0, response }),
            _ => Err(refusal(response).await),
        }
    }

    /// Returns how much of the blob has arrived in an upload for this lease.
    pub(crate) async fn upload_status(
        &self,
        blob: &BlobHash,
        lease: LeaseId,
    ) -> Result<UploadStatus, RequestError> {
        let request = self.authorized(Method::HEAD, &format!("/blobs/{blob}?lease={lease}"))?;
        let response = self.answer(request, REQUEST_TIMEOUT).await?;
        let offset = upload_offset(&response)
            .ok_or_else(|| RequestError::InvalidResponse("no Upload-Offset".into()))?;
        let complete = response.headers().get(UPLOAD_COMPLETE);
        Ok(UploadStatus { offset, complete: complete.is_some_and(|value| value == "?1") })
    }

    /// Sends `length` bytes of the blob, from `offset` on. Has no time limit: the caller checks that bytes
    /// arrive.
    pub(crate) async fn send_blob(
        &self,
        blob: &BlobHash,
        lease: LeaseId,
        (offset, length): (u64, u64),
        body: Body,
    ) -> Result<UploadResult, RequestError> {
        let request = self
            .authorized(Method::PUT, &format!("/blobs/{blob}?lease={lease}"))?
            .header(UPLOAD_OFFSET, offset)
            .header(CONTENT_LENGTH, length)
            .body(body);
        let sent = async { request.send().await.map_err(|error| unreachable(&error)) };
        let response = self.unless_woken(sent).await?;
        match (response.status(), upload_offset(&response)) {
            (status, _) if status.is_success() => Ok(UploadResult::Complete),
            (StatusCode::CONFLICT, Some(offset)) => Ok(UploadResult::OtherOffset { offset }),
            (StatusCode::UNPROCESSABLE_ENTITY, _) => Ok(UploadResult::Damaged),
            _ => Err(refusal(response).await),
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RequestError> {
        self.json(self.authorized(method, path)?.json(body)).await
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Response, RequestError> {
        self.unless_woken(answer(request, limit)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RequestError> {
        self.unless_woken(async { json(answer(request, REQUEST_TIMEOUT).await?).await }).await
    }

    fn authorized(&self, method: Method, path: &str) -> Result<RequestBuilder, RequestError> {
        let request = self.request(method, path)?;
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &*token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, RequestError> {
        let url = self.url().ok_or(RequestError::NoCoordinator)?;
        let pin = *self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pin.ok_or(RequestError::NoPin)?;
        let mut endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Endpoint::cached(&mut endpoint, url, pin)?.request(method, path))
    }
}

#[cfg(test)]
mod tests {
    use protocol::Problem;
    use protocol::device::DeviceState;

    use super::*;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn temporary_failures_are_retried() {
        let server = Server::start(vec![
            Step::answer("503 Service Unavailable", "Retry-After: 0\r\n", b"starting"),
            Step::broken("200 OK", "", b"{\"heartbeat_seconds\":30}", 5),
            Step::answer("200 OK", "", br#"{"heartbeat_seconds":30,"return_within_seconds":0.5,"lease_held":true,"new":1}"#),
        ])
        .await;
        let client = server.client();
        client.set_token(Some("secret".into()));
        let failures = Mutex::new(Vec::new());
        let heartbeat =
            Heartbeat { state: DeviceState::Waiting, reason: None, lease: None, session: None };
        let answer = client
            .retry_until_answered(
                || client.heartbeat(device(), &heartbeat),
                |error| failures.lock().unwrap().push(error.to_string()),
            )
            .await
            .unwrap();
        assert!(answer.lease_held);
        assert_eq!(failures.into_inner().unwrap().len(), 2);
        for request in server.requests() {
            assert_eq!(request.header("authorization"), Some("Bearer secret"));
            assert_eq!(request.header("constellation-protocol"), Some("1"));
        }
    }

    #[tokio::test]
    async fn a_refusal_carries_its_problem() {
        let problem = Problem::new(401, "unauthorized", "Unknown token", "register again");
        let body = serde_json::to_vec(&problem).unwrap();
        let steps = vec![
            Step::answer("401 Unauthorized", "", &body),
            Step::answer("404 Not Found", "", b"<html>"),
            Step::answer("200 OK", "", b"<html>"),
        ];
        let client = Server::start(steps).await.client();
        let error = client.next_job(device()).await.err().unwrap();
        assert!(error.is_unauthorized() && !error.is_transient());
        assert!(error.to_string().contains("register again"), "{error}");
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::Refused(problem) if problem.status == 404));
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::InvalidResponse(_)));
    }

    #[tokio::test]
    async fn an_answer_without_work_carries_the_retry_delay() {
        let steps = vec![Step::answer("204 No Content", "Retry-After: 7\r\n", b"")];
        let server = Server::start(steps).await;
        let answer = server.client().next_job(device()).await.unwrap();
        assert!(matches!(answer, NextJob::Nothing { retry_after } if retry_after.as_secs() == 7));
        assert!(server.requests()[0].line().contains("/next-job?wait=25 "));
    }

    #[tokio::test]
    async fn an_oversized_answer_is_refused() {
        let steps = vec![Step::answer("200 OK", "", &vec![b' '; (4 << 20) + 1])];
        let error = Server::start(steps).await.client().next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::InvalidResponse(_)), "{error}");
    }
}
