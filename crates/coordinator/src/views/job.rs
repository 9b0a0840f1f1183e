//! View of a job for the API.

use std::sync::Arc;

use federation::machine::{JobSnapshot, Machine, Preparation};
use protocol::api::{Job, MetricPoint, Round};

use crate::store::{DatasetPin, JobDetails, JobRow};

/// Job after the last commit.
#[derive(Debug)]
pub(crate) struct JobView {
    pub(crate) job: Job,
    earlier_rounds: Option<Arc<Vec<Round>>>,
    current_round: Option<Round>,
    preparation: Option<Arc<Preparation>>,
    /// Snapshot without the devices that train. [`super::Views::snapshot`] adds them.
    pub(super) outline: JobSnapshot,
}

impl JobView {
    /// Returns the closed rounds, followed by the open one.
    pub(crate) fn rounds(&self) -> impl DoubleEndedIterator<Item = &Round> {
        self.earlier_rounds.iter().flat_map(|rounds| rounds.iter()).chain(&self.current_round)
    }

    /// Returns the open round, or the last one of a finished job.
    pub(crate) fn current_round(&self) -> Option<&Round> {
        self.current_round.as_ref()
    }

    /// Returns the class names. Empty until the dataset is known.
    pub(crate) fn classes(&self) -> &[String] {
        self.preparation.as_ref().map_or(&[], |preparation| &preparation.classes)
    }
}

/// Returns the API view of a job. `note` is the message of the coordinator's current step.
pub(crate) fn job_view(row: &JobRow, details: Option<&JobDetails>, note: Option<&str>) -> JobView {
    let pin = details.and_then(|details| details.dataset.as_ref());
    let name = details.and_then(|details| details.name.as_ref());
    let machine = &row.machine;
    let spec = machine.spec();
    let evaluation = machine.history().rev().find_map(|round| round.evaluation.as_ref());
    let (model_id, model_blake3) = machine.result().unzip();
    let job = Job {
        id: row.id,
        name: name.unwrap_or(&spec.name).clone(),
        model_name: spec.model_name().to_owned(),
        model_type: spec.model_type,
        dataset: pin.map_or(&spec.dataset, |pin| &pin.name).clone(),
        dataset_version: pin.map(DatasetPin::label),
        dataset_deleted: pin.is_some_and(|pin| pin.deleted),
        archived: details.is_some_and(|details| details.archived_at.is_some()),
        status: machine.status(),
        created_at: row.created_at,
        started_at: machine.started_at(),
        completed_at: machine.completed_at(),
        total_epochs: spec.rounds(),
        current_epoch: machine.rounds_closed(),
        progress: machine.progress(),
        config: spec.clone(),
        reason: reason(machine, note),
        spec: machine.preparation().map(|preparation| preparation.spec.clone()),
        parameters: machine.parameters(),
        test_accuracy: evaluation.map(|evaluation| evaluation.accuracy),
        test_loss: evaluation.map(|evaluation| evaluation.loss),
        model_id,
        model_blake3,
        leases_lost: machine.leases_lost(),
        created_by: row.created_by.clone(),
        stalled: false,
        explanation: Vec::new(),
    };
    JobView {
        job,
        earlier_rounds: machine.earlier_rounds().cloned(),
        current_round: machine.current_round().cloned(),
        preparation: machine.preparation().cloned(),
        outline: machine.outline(),
    }
}

fn reason(machine: &Machine, note: Option<&str>) -> Option<String> {
    match (machine.reason(), note) {
        (reason, None) => reason,
        (None, Some(note)) => Some(note.to_owned()),
        (Some(reason), Some(note)) => Some(format!("{reason}: {note}")),
    }
}

/// Returns the curves of a job's closed rounds.
pub(crate) fn metric_points<'a>(rounds: impl Iterator<Item = &'a Round>) -> Vec<MetricPoint> {
    let closed = rounds.filter_map(|round| Some((round, round.closed_at?)));
    closed
        .flat_map(|(round, at)| {
            let evaluation = round.evaluation.as_ref();
            [
                ("test_accuracy", evaluation.map(|evaluation| evaluation.accuracy)),
                ("test_loss", evaluation.map(|evaluation| evaluation.loss)),
                ("train_loss", round.train_loss),
            ]
            .into_iter()
            .filter_map(move |(name, value)| {
                let (round, name) = (round.round, name.to_owned());
                Some(MetricPoint { round, at, name, value: value? })
            })
        })
        .collect()
}
