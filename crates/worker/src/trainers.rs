//! The worker's one trainer: started when there is work, kept for the next lease, gone when idle, and never larger
//! than its memory budget.

use std::time::Duration;

use protocol::trainer::Ready;
use trainer::{Limits, Trainer, TrainerCommand, TrainerError};

use crate::memory::Budget;

/// For an idle trainer to leave by itself.
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
            let memory = Some(self.budget.bytes());
            let limits = Limits { nice: self.nice, memory, ..Limits::new(threads) };
            self.budget.note(true);
            let (trainer, ready) = Trainer::start(&self.command, &limits).await?;
            tracing::info!(fingerprint = %ready.fingerprint, reason = ready.reason, "trainer");
            (trainer, ready)
        };
        Ok(self.current.insert(current))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.current.is_some()
    }

    /// What trainers may take.
    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// It ended by itself: the next one gets less memory.
    pub(crate) fn ended_abnormally(&mut self) {
        self.current = None;
        self.budget.halved();
    }

    /// Lets it end.
    pub(crate) async fn retire(&mut self) {
        if let Some((trainer, _)) = self.current.take() {
            trainer.stop(STOP_GRACE).await;
        }
        self.budget.note(false);
    }

    /// Kills it, and waits until it is gone: it may be writing to what is removed next.
    pub(crate) async fn end(&mut self) {
        if let Some((trainer, _)) = self.current.take() {
            trainer.stop(Duration::ZERO).await;
        }
        self.budget.note(false);
    }

    /// Kills it now.
    pub(crate) fn kill(&mut self) {
        self.current = None;
        self.budget.note(false);
    }
}
