//! Explanation of a job's state.

use protocol::api::Job;

/// Explains the state of the job.
pub(super) fn explanations(job: &Job) -> Vec<&str> {
    if job.explanation.is_empty() {
        return job.reason.as_deref().into_iter().collect();
    }
    job.explanation.iter().map(String::as_str).collect()
}
