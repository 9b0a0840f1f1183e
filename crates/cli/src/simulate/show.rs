//! What a person or a script sees of a simulation.

use data::LoadProgress;
use indicatif::{ProgressBar, ProgressStyle};
use node::output;
use node::rounds::{FinalLine, RoundLine};
use protocol::text::escaped;

pub(super) struct Show {
    bar: ProgressBar,
    json: bool,
}

impl Show {
    pub(super) fn new(json: bool) -> anyhow::Result<Self> {
        let bar = if output::is_watched() { ProgressBar::new(1000) } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}")?);
        Ok(Self { bar, json })
    }

    pub(super) fn doing(&self, what: &str) {
        self.bar.set_message(escaped(what));
    }

    pub(super) fn loading(&self, progress: &LoadProgress) {
        match progress {
            LoadProgress::Downloading { file, done, total: _ } => {
                let message = format!("downloading {file}, {} MB", done >> 20);
                self.bar.set_message(escaped(&message));
            }
            LoadProgress::Reading { rows } => self.bar.set_message(format!("{rows} rows read")),
        }
    }

    /// `progress` from 0 to 1.
    pub(super) fn progress(&self, progress: f64, round: u32, rounds: u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of 1000")]
        self.bar.set_position((progress.clamp(0.0, 1.0) * 1000.0) as u64);
        self.bar.set_message(format!("round {round}/{rounds}"));
    }

    pub(super) fn round(&self, line: &RoundLine) -> anyhow::Result<()> {
        let written =
            self.bar.suspend(|| if self.json { output::json(line) } else { output::line(line) });
        Ok(written?)
    }

    pub(super) fn end(&self, line: &FinalLine) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if self.json {
            output::json(line)?;
        } else {
            output::line(line)?;
        }
        Ok(())
    }
}
