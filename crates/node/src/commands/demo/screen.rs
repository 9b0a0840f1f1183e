//! Output of a running demo: live on a terminal, otherwise plain lines.

use std::fmt::Display;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::api::Job;
use protocol::text::escaped;

use crate::output;
use crate::rounds::RoundLine;

#[derive(Debug)]
pub(super) struct Screen {
    all: MultiProgress,
    job: ProgressBar,
    workers: Vec<ProgressBar>,
    is_live: bool,
    json: bool,
}

impl Screen {
    pub(super) fn new(workers: usize, json: bool) -> anyhow::Result<Self> {
        let is_live = output::is_watched();
        let all = MultiProgress::new();
        let line = |template| -> anyhow::Result<ProgressBar> {
            let bar = if is_live { all.add(ProgressBar::new(1000)) } else { ProgressBar::hidden() };
            bar.set_style(ProgressStyle::with_template(template)?);
            Ok(bar)
        };
        let job = line("{bar:30} {percent:>3}%  {msg}")?;
        let workers = (1..=workers)
            .map(|number| {
                let bar = line("  {prefix}  {msg}")?;
                bar.set_prefix(format!("worker {number}"));
                Ok(bar)
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { all, job, workers, is_live, json })
    }

    /// Prints a permanent line.
    pub(super) fn note(&self, text: impl Display) {
        self.all.suspend(|| output::note(text));
    }

    pub(super) fn round(&self, line: &RoundLine) -> anyhow::Result<()> {
        if self.json {
            self.all.suspend(|| output::json(line))?;
        } else {
            self.note(line);
        }
        Ok(())
    }

    pub(super) fn job(&self, job: &Job) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of 1000")]
        self.job.set_position((job.progress.clamp(0.0, 1.0) * 1000.0) as u64);
        let round = (job.current_epoch + 1).min(job.total_epochs);
        let mut text = format!("{}  round {round}/{}", job.status.name(), job.total_epochs);
        if let Some(accuracy) = job.test_accuracy {
            text = format!("{text}  test accuracy {accuracy:.4}");
        }
        if let Some(reason) = &job.reason {
            text = format!("{text}  {reason}");
        }
        self.job.set_message(escaped(&text));
    }

    pub(super) fn worker(&self, worker: usize, text: &str) {
        if self.is_live {
            self.workers[worker].set_message(escaped(text));
        }
    }

    /// Removes the live lines.
    pub(super) fn clear(&self) {
        self.workers.iter().for_each(ProgressBar::finish_and_clear);
        self.job.finish_and_clear();
    }
}
