//! What is waited for between requests, and what ends a wait or a request early: another address of
//! the coordinator, and the end of this machine's sleep.

use std::convert::Infallible;
use std::sync::PoisonError;
use std::time::Duration;

use platform::wake::SleepWatch;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Client;
use crate::response::RequestError;
use crate::retry::Backoff;

/// Between two looks at whether the machine slept.
const LOOK: Duration = Duration::from_secs(2);

/// Tries of one request.
pub(crate) struct Tries {
    backoff: Backoff,
    /// How often the machine had woken at the last wait.
    wakes: watch::Receiver<u64>,
}

impl Tries {
    /// How long to wait before the next one.
    pub(crate) fn wait(&mut self) -> Duration {
        self.backoff.next(None)
    }
}

impl Client {
    /// For a request that the network or the coordinator may refuse.
    pub(crate) fn tries(&self) -> Tries {
        let spread = *self.spread.lock().unwrap_or_else(PoisonError::into_inner);
        Tries { backoff: Backoff::over(spread), wakes: self.wakes() }
    }

    /// Asks until there is an answer that time won't change; `failed` hears of every try that gave
    /// none. A new address is tried at once, and so is the old one after a sleep.
    pub(crate) async fn until_answered<T, F>(
        &self,
        mut ask: impl FnMut() -> F,
        failed: impl Fn(&RequestError),
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let mut tries = self.tries();
        loop {
            let error = match ask().await {
                Err(error) if error.may_pass() => self.explained(error),
                answer => return answer,
            };
            failed(&error);
            self.pause_after(&error, &mut tries).await;
        }
    }

    /// Waits before the next try: not at all where the machine woke since the last wait.
    pub(crate) async fn pause_after(&self, error: &RequestError, tries: &mut Tries) {
        let wait = tries.backoff.next(error.retry_after());
        tracing::debug!(%error, ?wait, "trying again");
        tokio::select! {
            biased;
            // It comes back alone, not as a fleet does whose coordinator was away; and the network
            // may take a moment longer than the machine.
            Ok(()) = tries.wakes.changed() => tries.backoff = Backoff::default(),
            () = self.moved() => {}
            () = sleep(wait) => {}
        }
    }

    /// Waits, at most until the coordinator's address changes or the machine wakes.
    pub(crate) async fn pause(&self, wait: Duration) {
        // Either way it is time.
        tokio::select! {
            () = self.woken() => {}
            () = self.moved() => {}
            () = sleep(wait) => {}
        }
    }

    /// Ends when the coordinator's address changes from now on.
    pub(crate) async fn moved(&self) {
        let mut coordinator = self.coordinator.clone();
        coordinator.mark_unchanged();
        if coordinator.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Changes when the machine wakes.
    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    /// Ends when the machine wakes from now on.
    pub(crate) async fn woken(&self) {
        if self.wakes().changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What `asked` answers, unless the machine wakes meanwhile.
    pub(crate) async fn unless_woken<T>(
        &self,
        asked: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        tokio::select! {
            biased;
            answer = asked => answer,
            () = self.woken() => Err(RequestError::Unreachable("this machine slept".into())),
        }
    }

    /// Looks for sleep for as long as it is asked to.
    pub(crate) async fn watch_sleep(&self) -> Infallible {
        let mut watch = SleepWatch::new();
        loop {
            sleep(LOOK).await;
            if let Some(slept) = watch.slept() {
                tracing::info!(?slept, "this machine slept; connecting again");
                self.woke();
            }
        }
    }

    /// The machine slept: connections from before may be dead without a word, so none is used again,
    /// what waits for an answer on one fails now, and what waits to try again tries now.
    fn woke(&self) {
        *self.reach.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.wakes.send_modify(|wakes| *wakes += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Mutex;

    use protocol::BlobHash;

    use super::*;
    use crate::response::NextJob;
    use crate::test_server::{Server, Step, device};

    #[tokio::test]
    async fn a_question_that_hangs_when_the_machine_wakes_is_asked_anew() {
        let steps = vec![Step::silent(0), Step::answer("204 No Content", "", b"")];
        let server = Server::start(steps).await;
        let client = server.client();
        let failures = Mutex::new(Vec::new());
        let note = |error: &RequestError| failures.lock().unwrap().push(error.to_string());
        let asking = client.until_answered(|| client.next_job(device()), note);
        let waking = async {
            server.until_asked(1).await;
            client.woke();
        };
        let (answer, ()) = tokio::join!(asking, waking);
        assert!(matches!(answer.unwrap(), NextJob::Nothing { .. }));
        assert_eq!(server.asked().len(), 2);
        let failures = failures.into_inner().unwrap();
        assert!(failures[0].ends_with("this machine slept"), "{failures:?}");
    }

    #[tokio::test]
    async fn a_coordinator_that_said_much_later_is_asked_when_the_machine_wakes() {
        let later = Step::answer("503 Service Unavailable", "Retry-After: 600\r\n", b"");
        let server = Server::start(vec![later, Step::answer("204 No Content", "", b"")]).await;
        let client = server.client();
        let failed = |_: &RequestError| client.woke();
        client.until_answered(|| client.next_job(device()), failed).await.unwrap();
        assert_eq!(server.asked().len(), 2);
    }

    #[tokio::test]
    async fn a_transfer_that_hangs_when_the_machine_wakes_fails() {
        // The second one keeps the server there.
        let steps = vec![Step::silent(0), Step::answer("204 No Content", "", b"")];
        let server = Server::start(steps).await;
        let client = server.client();
        let (blob, lease) = (BlobHash::of(b"x"), "01890a5d-ac96-774b-bcce-b302099a8058".parse());
        let sending = client.send_blob(&blob, lease.unwrap(), (0, 1), "x".into());
        let waking = async {
            server.until_asked(1).await;
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
    async fn a_coordinator_that_moves_is_followed_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let steps = vec![Step::answer("204 No Content", "", b"")];
        let server = Server::start(steps).await;
        let (found, coordinator) = watch::channel(None);
        let client = Client::new(coordinator, Some(server.pin));
        let addresses = Mutex::new(vec![server.url.clone(), format!("https://{gone}")]);
        let moves = |_: &RequestError| {
            found.send_replace(addresses.lock().unwrap().pop());
        };
        client.until_answered(|| client.next_job(device()), moves).await.unwrap();
        assert_eq!(server.asked().len(), 1);
    }
}
