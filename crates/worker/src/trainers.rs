//! The worker's trainer process: started when there is work, kept for the next lease, stopped when idle,
//! and limited to the memory budget.

use std::time::Duration;

use protocol::trainer::Ready;
use trainer::{Limits, Trainer, TrainerCommand, TrainerError};

use crate::memory::Budget;

/// Time that an idle trainer has to exit before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Trainers {
    command: TrainerCommand,
    nice: bool,
    budget: Budget,
    current: Option<(Trainer, Ready)>,
}

impl Trainers {
    pub(crate) fn new(command: TrainerCommand, nice: bool, budget: Budget) -> Self {
        Self { command, nice, budget, current: None }
    }

    /// Returns a running trainer with this number of threads. Reuses the current one if it fits.
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
            let memory = Some(self.budget.bytes());
            let limits = Limits { nice: self.nice, memory, ..Limits::new(threads) };
            self.budget.set_training(true);
            let (trainer, ready) = Trainer::start(&self.command, &limits).await?;
            tracing::info!(fingerprint = %ready.fingerprint, reason = ready.reason, "trainer started");
            (trainer, ready)
        };
        Ok(self.current.insert(current))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.current.is_some()
    }

    /// Memory that trainers may use.
    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Records that the trainer died by itself. The next one gets half of the memory.
    pub(crate) fn ended_abnormally(&mut self) {
        self.current = None;
        self.budget.halve_now();
    }

    /// Stops the trainer and waits up to [`STOP_GRACE`] for it to exit.
    pub(crate) async fn retire(&mut self) {
        if let Some((trainer, _)) = self.current.take() {
            trainer.stop(STOP_GRACE).await;
        }
        self.budget.set_training(false);
    }

    /// Kills the trainer and waits until it is gone, because it may be writing to files that the caller
    /// removes next.
    pub(crate) async fn end(&mut self) {
        if let Some((trainer, _)) = self.current.take() {
            trainer.stop(Duration::ZERO).await;
        }
        self.budget.set_training(false);
    }

    /// Kills the trainer without waiting for its end.
    pub(crate) fn kill(&mut self) {
        self.current = None;
        self.budget.set_training(false);
    }
}
