//! Prefetching of batches by a thread that runs ahead of the steps.
//!
//! Batches are passed in groups, because waking a thread for every batch costs a short step more
//! than computing the batch.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use data::Row;

use crate::EngineError;
use crate::batch::{Batch, Featurizer, Schedule, StepKey};

/// Batches per group, and the limit of a group's bytes unless a single batch is larger. Up to three
/// groups are in memory: one being prepared, one waiting and one in use.
const GROUP: usize = 64;
const GROUP_BYTES: usize = 4 << 20;

/// Batches of a lease in order, with the time that steps waited for them.
pub(crate) struct Prefetch {
    groups: Receiver<Vec<Batch>>,
    group: std::vec::IntoIter<Batch>,
    waited: Duration,
}

/// Source of the batches.
pub(crate) struct Source<'a> {
    pub(crate) featurizer: Featurizer,
    pub(crate) rows: &'a [Row],
    pub(crate) schedule: Schedule,
    /// Key of the first step. Later steps follow from it.
    pub(crate) key: StepKey,
    /// Total steps, including those before `key.step`.
    pub(crate) steps: u64,
}

impl Source<'_> {
    fn batch(&mut self, step: u64) -> Batch {
        let indices = self.schedule.rows(step).iter();
        let rows: Vec<&Row> = indices.filter_map(|index| self.rows.get(*index as usize)).collect();
        self.featurizer.batch(&rows, Some(StepKey { step, ..self.key }))
    }
}

impl Prefetch {
    /// Starts the thread. It ends after the last batch, or when the `Prefetch` is dropped.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut source: Source<'scope>,
    ) -> Result<Self, EngineError> {
        let (sender, groups) = sync_channel(1);
        let run = move || {
            // The first group is a single batch, so that the first step starts without delay.
            let (mut step, mut size) = (source.key.step, 1);
            while step < source.steps {
                let last = source.steps.min(step + size as u64);
                let group: Vec<Batch> = (step..last).map(|step| source.batch(step)).collect();
                let largest = group.iter().map(Batch::bytes).max().unwrap_or_default();
                if sender.send(group).is_err() {
                    return;
                }
                step = last;
                size = (2 * size).min(GROUP).min(GROUP_BYTES / largest.max(1)).max(1);
            }
        };
        std::thread::Builder::new().name("batches".to_owned()).spawn_scoped(scope, run).map_err(
            |error| EngineError::Internal(format!("can't start the batch thread: {error}")),
        )?;
        Ok(Self { groups, group: Vec::new().into_iter(), waited: Duration::ZERO })
    }

    /// Returns the next step's batch.
    pub(crate) fn next(&mut self) -> Result<Batch, EngineError> {
        if let Some(batch) = self.group.next() {
            return Ok(batch);
        }
        let group = match self.groups.try_recv() {
            Ok(group) => Some(group),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                let since = Instant::now();
                let group = self.groups.recv().ok();
                self.waited += since.elapsed();
                group
            }
        };
        self.group = group.unwrap_or_default().into_iter();
        let ended = || EngineError::Internal("the batch thread ended".to_owned());
        self.group.next().ok_or_else(ended)
    }

    /// Returns the total time that steps have waited.
    pub(crate) const fn waited(&self) -> Duration {
        self.waited
    }
}
