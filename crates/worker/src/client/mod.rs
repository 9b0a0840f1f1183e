//! The coordinator as the worker calls it: one method a request, one closed error.

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

use crate::endpoint::Endpoint;
use crate::identity::Cluster;
use crate::response::{
    Download, NextJob, Received, RequestError, Sent, UPLOAD_COMPLETE, UPLOAD_OFFSET, answer,
    content_length, json, late, range_start, refusal, retry_after, unreachable, upload_offset,
};
use crate::typed_code_join;

/// For an answer that takes no work.
const SHORT: Duration = Duration::from_secs(20);
/// Seconds that the coordinator may wait for a lease before it says that there is none.
const LONG_POLL_SECONDS: u64 = 25;

pub(crate) struct Client {
    coordinator: watch::Receiver<Option<String>>,
    /// Whose key is trusted.
    pin: Mutex<Option<Pin>>,
    /// Made for the coordinator's address and pin of now.
    reach: Mutex<Option<Endpoint>>,
    /// The device's own.
    token: Mutex<Option<String>>,
    /// Over how long devices come back that lost their connections all at once.
    spread: Mutex<Duration>,
    /// Times that the machine woke.
    wakes: watch::Sender<u64>,
}

impl Client {
    pub(crate) fn new(coordinator: watch::Receiver<Option<String>>, pin: Option<Pin>) -> Self {
        Self {
            coordinator,
            pin: Mutex::new(pin),
            reach: Mutex::default(),
            token: Mutex::default(),
            spread: Mutex::default(),
            wakes: watch::Sender::new(0),
        }
    }

    /// The token that requests carry from now on.
    pub(crate) fn set_token(&self, token: Option<String>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// What the coordinator says of the fleet's return; nonsense counts as none.
    pub(crate) fn set_spread(&self, seconds: f64) {
        let spread = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        *self.spread.lock().unwrap_or_else(PoisonError::into_inner) = spread;
    }

    /// Whose key is trusted from now on.
    pub(crate) fn set_pin(&self, pin: Pin) {
        *self.pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(pin);
    }

    fn explained(&self, error: RequestError) -> RequestError {
        let reach = self.reach.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reach {
            Some(reach) => reach.explained(error),
            None => error,
        }
    }

    /// Where the coordinator is said to be now.
    pub(crate) fn url(&self) -> Option<String> {
        self.coordinator.borrow().clone()
    }

    /// Whether its address may still change.
    pub(crate) fn may_move(&self) -> bool {
        self.coordinator.has_changed().is_ok()
    }

    /// The cluster of the coordinator at `url`, where that proves that it knows this code.
    pub(crate) async fn join(
        &self,
        url: Option<&str>,
        secret: &JoinSecret,
    ) -> Result<Result<Cluster, NotProven>, RequestError> {
        typed_code_join::join(url.ok_or(RequestError::NoCoordinator)?, secret).await
    }

    /// Something to sign for a registration.
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

    /// Takes the device off the coordinator's list.
    pub(crate) async fn leave(&self, device: DeviceId) -> Result<(), RequestError> {
        let path = format!("/devices/{device}/leave");
        self.answer(self.authorized(Method::POST, &path)?, SHORT).await.map(drop)
    }

    /// Waits at the coordinator for a lease.
    pub(crate) async fn next_job(&self, device: DeviceId) -> Result<NextJob, RequestError> {
        let path = format!("/devices/{device}/next-job?wait={LONG_POLL_SECONDS}");
        let request = self.authorized(Method::GET, &path)?;
        let limit = SHORT + Duration::from_secs(LONG_POLL_SECONDS);
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

    pub(crate) async fn give_back(
        &self,
        lease: LeaseId,
        reason: &LeaseReturn,
    ) -> Result<(), RequestError> {
        let request = self.authorized(Method::POST, &format!("/leases/{lease}/return"))?;
        self.answer(request.json(reason), SHORT).await.map(drop)
    }

    pub(crate) async fn update(
        &self,
        lease: LeaseId,
        update: &Update,
    ) -> Result<UpdateAnswer, RequestError> {
        self.send(Method::PUT, &format!("/leases/{lease}/update"), update).await
    }

    /// How long a blob is that a lease names.
    pub(crate) async fn length(&self, blob: &BlobHash) -> Result<u64, RequestError> {
        let request = self.authorized(Method::HEAD, &format!("/blobs/{blob}"))?;
        let response = self.answer(request, SHORT).await?;
        content_length(&response)
            .ok_or_else(|| RequestError::Nonsense("no Content-Length of a blob".into()))
    }

    /// A blob's bytes from `from` on.
    pub(crate) async fn download(
        &self,
        blob: &BlobHash,
        from: u64,
    ) -> Result<Download, RequestError> {
        let mut request = self.authorized(Method::GET, &format!("/blobs/{blob}"))?;
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        // No time limit on the whole: the body may be long. Its reader has one for every piece.
        let sent = async {
            let sent = timeout(SHORT, request.send()).await;
            sent.map_err(|_| late())?.map_err(|error| unreachable(&error))
        };
        let response = self.unless_woken(sent).await?;
        match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Download::OutOfRange),
            StatusCode::PARTIAL_CONTENT => match range_start(&response) {
                Some(start) => Ok(Download::From { start, response }),
                None => Err(RequestError::Nonsense("206 without a Content-Range".into())),
            },
            StatusCode::OK => Ok(Download::From { start: 0, response }),
            _ => Err(refusal(response).await),
        }
    }

    /// How much of the blob has arrived in an upload for this lease.
    pub(crate) async fn received(
        &self,
        blob: &BlobHash,
        lease: LeaseId,
    ) -> Result<Received, RequestError> {
        let request = self.authorized(Method::HEAD, &format!("/blobs/{blob}?lease={lease}"))?;
        let response = self.answer(request, SHORT).await?;
        let offset = upload_offset(&response)
            .ok_or_else(|| RequestError::Nonsense("no Upload-Offset".into()))?;
        let complete = response.headers().get(UPLOAD_COMPLETE);
        Ok(Received { offset, complete: complete.is_some_and(|value| value == "?1") })
    }

    /// Sends `length` bytes of the blob, which begin at `offset` in it. No time limit: whoever asks
    /// watches what arrives.
    pub(crate) async fn send_blob(
        &self,
        blob: &BlobHash,
        lease: LeaseId,
        (offset, length): (u64, u64),
        body: Body,
    ) -> Result<Sent, RequestError> {
        let request = self
            .authorized(Method::PUT, &format!("/blobs/{blob}?lease={lease}"))?
            .header(UPLOAD_OFFSET, offset)
            .header(CONTENT_LENGTH, length)
            .body(body);
        let sent = async { request.send().await.map_err(|error| unreachable(&error)) };
        let response = self.unless_woken(sent).await?;
        match (response.status(), upload_offset(&response)) {
            (status, _) if status.is_success() => Ok(Sent::Whole),
            (StatusCode::CONFLICT, Some(offset)) => Ok(Sent::Elsewhere { offset }),
            (StatusCode::UNPROCESSABLE_ENTITY, _) => Ok(Sent::Damaged),
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
        self.unless_woken(async { json(answer(request, SHORT).await?).await }).await
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
        let mut reach = self.reach.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Endpoint::kept(&mut reach, url, pin)?.request(method, path))
    }
}

#[cfg(test)]
mod tests {
    use protocol::Problem;
    use protocol::device::DeviceState;

    use super::*;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn a_coordinator_that_is_not_well_is_asked_again() {
        let server = Server::start(vec![
            Step::answer("503 Service Unavailable", "Retry-After: 0\r\n", b"starting"),
            Step::broken("200 OK", "", b"{\"heartbeat_seconds\":30}", 5),
            Step::answer("200 OK", "", br#"{"heartbeat_seconds":30,"return_within_seconds":0.5,"lease_held":true,"new":1}"#),
        ])
        .await;
        let client = server.client();
        client.set_token(Some("secret".into()));
        let failures = Mutex::new(Vec::new());
        let beat =
            Heartbeat { state: DeviceState::Waiting, reason: None, lease: None, session: None };
        let answer = client
            .until_answered(
                || client.heartbeat(device(), &beat),
                |error| failures.lock().unwrap().push(error.to_string()),
            )
            .await
            .unwrap();
        assert!(answer.lease_held);
        assert_eq!(failures.into_inner().unwrap().len(), 2);
        for asked in server.asked() {
            assert_eq!(asked.header("authorization"), Some("Bearer secret"));
            assert_eq!(asked.header("constellation-protocol"), Some("1"));
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
        assert!(error.is_unauthorized() && !error.may_pass());
        assert!(error.to_string().contains("register again"), "{error}");
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::Refused(problem) if problem.status == 404));
        let error = client.next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::Nonsense(_)));
    }

    #[tokio::test]
    async fn nothing_to_do_says_when_to_ask_again() {
        let steps = vec![Step::answer("204 No Content", "Retry-After: 7\r\n", b"")];
        let server = Server::start(steps).await;
        let answer = server.client().next_job(device()).await.unwrap();
        assert!(matches!(answer, NextJob::Nothing { retry_after } if retry_after.as_secs() == 7));
        assert!(server.asked()[0].line().contains("/next-job?wait=25 "));
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        let steps = vec![Step::answer("200 OK", "", &vec![b' '; (4 << 20) + 1])];
        let error = Server::start(steps).await.client().next_job(device()).await.err().unwrap();
        assert!(matches!(error, RequestError::Nonsense(_)), "{error}");
    }
}
