//! Waits between requests, and the two events that end a wait or a request early: a new address of the
//! coordinator, and the machine waking from sleep.

use std::convert::Infallible;
use std::sync::PoisonError;
use std::time::Duration;

use platform::wake::SleepWatch;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Client;
use crate::net::response::RequestError;
use crate::net::retry::Backoff;

/// Interval at which the clocks are compared to detect sleep.
const SLEEP_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// State of the attempts of one request.
pub(crate) struct Attempts {
    backoff: Backoff,
    /// Changed if the machine woke since the last wait.
    wakes: watch::Receiver<u64>,
}

impl Attempts {
    /// Returns the delay before the next attempt.
    pub(crate) fn wait(&mut self) -> Duration {
        self.backoff.next(None)
    }
}

impl Client {
    /// Starts counting the attempts of a request.
    pub(crate) fn attempts(&self) -> Attempts {
        let spread = *self.spread.lock().unwrap_or_else(PoisonError::into_inner);
        Attempts { backoff: Backoff::over(spread), wakes: self.wakes() }
    }

    /// Repeats a request until it succeeds or fails permanently. Calls `failed` with each temporary
    /// failure. Retries at once when the coordinator's address changes or the machine wakes.
    pub(crate) async fn retry_until_answered<T, F>(
        &self,
        mut request: impl FnMut() -> F,
        failed: impl Fn(&RequestError),
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let mut attempts = self.attempts();
        loop {
            let error = match request().await {
                Err(error) if error.is_transient() => self.explained(error),
                answer => return answer,
            };
            failed(&error);
            self.pause_after(&error, &mut attempts).await;
        }
    }

    /// Waits before the next attempt. Does not wait if the machine woke since the last wait.
    pub(crate) async fn pause_after(&self, error: &RequestError, attempts: &mut Attempts) {
        let wait = attempts.backoff.next(error.retry_after());
        tracing::debug!(%error, ?wait, "a request failed; retrying");
        tokio::select! {
            biased;
            // One machine that wakes needs no spread, which is for a fleet whose coordinator was away.
            // The backoff starts again, because the network may come up a moment after the machine.
            Ok(()) = attempts.wakes.changed() => attempts.backoff = Backoff::default(),
            () = self.moved() => {}
            () = sleep(wait) => {}
        }
    }

    /// Waits for `wait`, or until the coordinator's address changes or the machine wakes.
    pub(crate) async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = self.woken() => {}
            () = self.moved() => {}
            () = sleep(wait) => {}
        }
    }

    /// Completes at the next change of the coordinator's address.
    pub(crate) async fn moved(&self) {
        let mut coordinator = self.coordinator.clone();
        coordinator.mark_unchanged();
        if coordinator.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns a receiver that changes whenever the machine wakes.
    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    /// Completes the next time that the machine wakes.
    pub(crate) async fn woken(&self) {
        if self.wakes().changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Awaits `request`, or fails if the machine wakes from sleep meanwhile.
    pub(crate) async fn unless_woken<T>(
        &self,
        request: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        tokio::select! {
            biased;
            answer = request => answer,
            () = self.woken() => Err(RequestError::Unreachable("this machine slept".into())),
        }
    }

    /// Detects sleep until the future is dropped.
    pub(crate) async fn watch_sleep(&self) -> Infallible {
        let mut watch = SleepWatch::new();
        loop {
            sleep(SLEEP_CHECK_INTERVAL).await;
            if let Some(slept) = watch.slept() {
                tracing::info!(?slept, "this machine woke from sleep; reconnecting");
                self.woke();
            }
        }
    }

    /// Handles the end of a sleep. Connections from before may be dead without an error, so all are
    /// dropped, requests in flight fail, and waiting retries run at once.
    fn woke(&self) {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.wakes.send_modify(|wakes| *wakes += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Mutex;

    use protocol::BlobHash;

    use super::*;
    use crate::net::response::NextJob;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn a_request_in_flight_is_repeated_when_the_machine_wakes() {
        let steps = vec![Step::silent(0), Step::answer("204 No Content", "", b"")];
        let server = Server::start(steps).await;
        let client = server.client();
        let failures = Mutex::new(Vec::new());
        let record = |error: &RequestError| failures.lock().unwrap().push(error.to_string());
        let requesting = client.retry_until_answered(|| client.next_job(device()), record);
        let waking = async {
            server.wait_for_requests(1).await;
            client.woke();
        };
        let (answer, ()) = tokio::join!(requesting, waking);
        assert!(matches!(answer.unwrap(), NextJob::Nothing { .. }));
        assert_eq!(server.requests().len(), 2);
        let failures = failures.into_inner().unwrap();
        assert!(failures[0].ends_with("this machine slept"), "{failures:?}");
    }

    #[tokio::test]
    async fn a_wake_ends_a_long_retry_delay() {
        let later = Step::answer("503 Service Unavailable", "Retry-After: 600\r\n", b"");
        let server = Server::start(vec![later, Step::answer("204 No Content", "", b"")]).await;
        let client = server.client();
        let failed = |_: &RequestError| client.woke();
        client.retry_until_answered(|| client.next_job(device()), failed).await.unwrap();
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_transfer_in_flight_fails_when_the_machine_wakes() {
        // The second step keeps the server running.
        let steps = vec![Step::silent(0), Step::answer("204 No Content", "", b"")];
        let server = Server::start(steps).await;
        let client = server.client();
        let (blob, lease) =
            (BlobHash::compute(b"x"), "01890a5d-ac96-774b-bcce-b302099a8058".parse());
        let sending = client.send_blob(&blob, lease.unwrap(), (0, 1), "x".into());
        let waking = async {
            server.wait_for_requests(1).await;
            client.woke();
        };
        let (sent, ()) = tokio::join!(sending, waking);
        assert!(sent.unwrap_err().to_string().ends_with("this machine slept"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_ends_a_pause() {
        let client = Client::new(watch::channel(None).1, None);
        let begun = tokio::time::Instant::now();
        tokio::join!(client.pause(Duration::from_hours(1)), async { client.woke() });
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test]
    async fn a_new_coordinator_address_is_used_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let steps = vec![Step::answer("204 No Content", "", b"")];
        let server = Server::start(steps).await;
        let (found, coordinator) = watch::channel(None);
        let client = Client::new(coordinator, Some(server.pin));
        let addresses = Mutex::new(vec![server.url.clone(), format!("https://{gone}")]);
        let moves = |_: &RequestError| {
            found.send_replace(addresses.lock().unwrap().pop());
        };
        client.retry_until_answered(|| client.next_job(device()), moves).await.unwrap();
        assert_eq!(server.requests().len(), 1);
    }
}
