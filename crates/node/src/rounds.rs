//! Progress output of `job watch` and `simulate`: one line per round and a final line.

use std::fmt;

use protocol::BlobHash;
use protocol::api::{Job, JobStatus, Round};
use serde::{Deserialize, Serialize};

/// A closed round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundLine {
    pub round: u32,
    /// Accuracy on the test split.
    pub test_accuracy: Option<f64>,
    pub test_loss: Option<f64>,
    /// Number of rows trained on, counted once per epoch.
    pub examples: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    /// Median L2 norm of the round's updates.
    #[serde(default)]
    pub median_norm: Option<f64>,
    /// Largest L2 norm of the round's updates.
    #[serde(default)]
    pub largest_norm: Option<f64>,
    /// Seconds from the opening to the close of the round.
    pub seconds: f64,
    /// The same in simulated time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_seconds: Option<f64>,
}

impl RoundLine {
    /// Returns the line of a closed round; `None` while the round is open.
    pub fn from_round(round: &Round) -> Option<Self> {
        let closed_at = round.closed_at?;
        Some(Self {
            round: round.round,
            test_accuracy: round.evaluation.as_ref().map(|evaluation| evaluation.accuracy),
            test_loss: round.evaluation.as_ref().map(|evaluation| evaluation.loss),
            examples: round.examples,
            bytes_up: round.bytes_up,
            bytes_down: round.bytes_down,
            median_norm: round.median_norm,
            largest_norm: round.largest_norm,
            seconds: closed_at.since(round.opened_at).as_secs_f64(),
            virtual_seconds: None,
        })
    }
}

impl fmt::Display for RoundLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}", self.round)?;
        if let (Some(accuracy), Some(loss)) = (self.test_accuracy, self.test_loss) {
            write!(f, "  test accuracy {accuracy:.4}  test loss {loss:.4}")?;
        }
        let megabytes = |bytes| bytes as f64 / 1e6;
        let (up, down) = (megabytes(self.bytes_up), megabytes(self.bytes_down));
        write!(f, "  {} rows  {up:.1} MB up  {down:.1} MB down", self.examples)?;
        write!(f, "  {:.1} s", self.seconds)?;
        match self.virtual_seconds {
            Some(seconds) => write!(f, "  {seconds:.1} virtual s"),
            None => Ok(()),
        }
    }
}

/// Result of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalLine {
    #[serde(rename = "final")]
    pub is_final: bool,
    pub status: JobStatus,
    /// Reason, if the job did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub rounds: u32,
    /// Accuracy after the last round, on the test split.
    pub test_accuracy: Option<f64>,
    pub model_blake3: Option<BlobHash>,
    /// Seconds from the start to the end of the job.
    pub seconds: f64,
}

impl FinalLine {
    pub fn from_job(job: &Job) -> Self {
        let seconds = match (job.started_at, job.completed_at) {
            (Some(started), Some(completed)) => completed.since(started).as_secs_f64(),
            (None | Some(_), None) | (None, Some(_)) => 0.0,
        };
        Self {
            is_final: true,
            status: job.status,
            reason: job.reason.clone(),
            rounds: job.current_epoch,
            test_accuracy: job.test_accuracy,
            model_blake3: job.model_blake3,
            seconds,
        }
    }
}

impl fmt::Display for FinalLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} rounds, {:.1} s", self.status.name(), self.rounds, self.seconds)?;
        if let Some(accuracy) = self.test_accuracy {
            write!(f, "  test accuracy {accuracy:.4}")?;
        }
        match self.model_blake3 {
            Some(hash) => write!(f, "  model_blake3 {hash}"),
            None => Ok(()),
        }
    }
}
