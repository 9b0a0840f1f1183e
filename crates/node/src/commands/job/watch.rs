//! `constellation job watch`: follows a job until it ends, with a progress bar on terminals and one line per round.

use std::pin::pin;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use protocol::JobId;
use protocol::api::{Job, JobStatus};
use protocol::text::escaped;

use super::explanation::explanations;
use super::follow::Follower;
use crate::client::Client;
use crate::output;
use crate::rounds::{FinalLine, RoundLine};

pub(super) async fn run(client: Client, id: JobId, json: bool) -> anyhow::Result<()> {
    let bar = if output::is_watched() { ProgressBar::new(1000) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}")?);
    let mut follower = Follower::new(client, id);
    let mut stalled = false;
    let mut closed = pin!(output::closed());
    loop {
        let update = tokio::select! {
            update = follower.next() => update?,
            closed = &mut closed => closed?,
        };
        for line in update.closed.iter().filter_map(RoundLine::from_round) {
            bar.suspend(|| if json { output::json(&line) } else { output::line(&line) })?;
        }
        if update.job.stalled && !stalled {
            bar.suspend(|| {
                output::note("the job is stalled:");
                for sentence in explanations(&update.job) {
                    output::note(format_args!("  {sentence}"));
                }
            });
        }
        stalled = update.job.stalled;
        show_progress(&bar, &update.job);
        if update.job.status.is_final() {
            bar.finish_and_clear();
            let line = FinalLine::from_job(&update.job);
            if json {
                output::json(&line)?;
            } else {
                output::line(&line)?;
            }
            return judge(&update.job);
        }
    }
}

fn show_progress(bar: &ProgressBar, job: &Job) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
    bar.set_position((job.progress.clamp(0.0, 1.0) * 1000.0) as u64);
    let round = (job.current_epoch + 1).min(job.total_epochs);
    let reason = job.reason.as_deref().map_or(String::new(), |reason| format!("  {reason}"));
    let status = job.status.name();
    let message = format!("{status}  round {round}/{}{reason}", job.total_epochs);
    bar.set_message(escaped(&message));
}

/// Returns an error if the job did not complete.
fn judge(job: &Job) -> anyhow::Result<()> {
    let reason = || job.reason.as_deref().unwrap_or("no reason reported");
    match job.status {
        JobStatus::Completed => Ok(()),
        JobStatus::Failed => bail!("job {} failed: {}", job.id, reason()),
        JobStatus::Cancelled => bail!("job {} was cancelled", job.id),
        JobStatus::Pending | JobStatus::Preparing | JobStatus::Running | JobStatus::Paused => {
            bail!("job {} has not ended", job.id)
        }
    }
}
