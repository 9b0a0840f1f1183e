//! The worker's one trainer: started when there is work, kept for the next lease, gone when idle.

use std::time::Duration;

use protocol::trainer::Ready;
use trainer::{Limits, Trainer, TrainerCommand, TrainerError};

/// For an idle trainer to leave by itself.
const STOP_GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Trainers {
    command: TrainerCommand,
    nice: bool,
    current: Option<(Trainer, Ready)>,
}

impl Trainers {
    pub(crate) fn new(command: TrainerCommand, nice: bool) -> Self {
        Self { command, nice, current: None }
    }

    /// A trainer that computes with so many threads; the one that runs, where it does.
    pub(crate) async fn ready(
        &mut self,
        threads: u32,
    ) -> Result<&mut (Trainer, Ready), TrainerError> {
        let fit = match &mut self.current {
            Some((trainer, _)) => trainer.threads() == threads && trainer.is_running(),
            None => false,
        };
        if !fit {
            self.retire().await;
        }
        let current = if let Some(current) = self.current.take() {
            current
        } else {
            let limits = Limits { nice: self.nice, ..Limits::new(threads) };
            let (trainer, ready) = Trainer::start(&self.command, &limits).await?;
            tracing::info!(fingerprint = %ready.fingerprint, reason = ready.reason, "trainer");
            (trainer, ready)
        };
        Ok(self.current.insert(current))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.current.is_some()
    }

    /// Lets it end.
    pub(crate) async fn retire(&mut self) {
        if let Some((trainer, _)) = self.current.take() {
            trainer.stop(STOP_GRACE).await;
        }
    }

    /// Kills it, and waits until it is gone: it may be writing to what is removed next.
    pub(crate) async fn end(&mut self) {
        if let Some((trainer, _)) = self.current.take() {
            trainer.stop(Duration::ZERO).await;
        }
    }

    /// Kills it now.
    pub(crate) fn kill(&mut self) {
        self.current = None;
    }
}
