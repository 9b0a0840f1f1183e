//! Batches made by a thread ahead of the steps, through a bounded channel.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use data::Row;

use crate::EngineError;
use crate::batch::{Batch, Featurizer, Schedule, StepKey};

/// Batches that may wait for their step; a few are enough to smooth out long rows.
const AHEAD: usize = 4;

/// The batches of a lease, in order, with the time that steps waited for them.
pub(crate) struct Prefetch {
    batches: Receiver<Batch>,
    waited: Duration,
}

/// What batches are made of.
pub(crate) struct Source<'a> {
    pub(crate) featurizer: Featurizer,
    pub(crate) rows: &'a [Row],
    pub(crate) schedule: Schedule,
    /// Of the first step; later steps follow.
    pub(crate) key: StepKey,
    /// Steps in all, those before `key.step` counted.
    pub(crate) steps: u64,
}

impl Prefetch {
    /// Starts the thread. It ends with its last batch, or when this is dropped.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut source: Source<'scope>,
    ) -> Result<Self, EngineError> {
        let (sender, batches) = sync_channel(AHEAD);
        let run = move || {
            for step in source.key.step..source.steps {
                let indices = source.schedule.rows(step);
                let rows: Vec<&Row> =
                    indices.iter().filter_map(|index| source.rows.get(*index as usize)).collect();
                let batch = source.featurizer.batch(&rows, Some(StepKey { step, ..source.key }));
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("batches".to_owned())
            .spawn_scoped(scope, run)
            .map_err(|error| EngineError::Internal(format!("no thread for batches: {error}")))?;
        Ok(Self { batches, waited: Duration::ZERO })
    }

    /// The next step's batch.
    pub(crate) fn next(&mut self) -> Result<Batch, EngineError> {
        let ended = || EngineError::Internal("the thread that makes batches ended".to_owned());
        match self.batches.try_recv() {
            Ok(batch) => return Ok(batch),
            Err(TryRecvError::Disconnected) => return Err(ended()),
            Err(TryRecvError::Empty) => {}
        }
        let since = Instant::now();
        let batch = self.batches.recv().map_err(|_| ended())?;
        self.waited += since.elapsed();
        Ok(batch)
    }

    /// How long steps have waited so far.
    pub(crate) const fn waited(&self) -> Duration {
        self.waited
    }
}
