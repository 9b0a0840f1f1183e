//! `constellation leave`.

use std::path::{Path, PathBuf};

use clap::Args;
use worker::{UnenrollNotice, UnenrollReport, WorkerError};

use super::confirm::confirm;
use crate::coordinator_locator::CoordinatorLocator;
use crate::output;
use crate::settings::{Settings, data_dir};
use crate::value_parsers::whole_number;

#[derive(Debug, Args)]
pub struct LeaveArguments {
    /// Address of the coordinator [default: search the local network]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// Data folder of the worker [default: the standard data folder]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Worker number, if this machine runs several workers
    #[arg(long, default_value_t = platform::account::number(),
        value_parser = whole_number(0..=u32::MAX, "the number of the worker", 2))]
    instance: u32,
    /// Don't ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: LeaveArguments, settings: Settings) -> anyhow::Result<()> {
    let folder = super::worker::folder(arguments.instance);
    let data_dir = data_dir(arguments.data_dir.as_deref(), &folder)?;
    let consequence = format!(
        "This removes the machine from its cluster and deletes the training data in {}.",
        data_dir.display()
    );
    confirm(arguments.yes, &consequence)?;
    let url = settings.coordinator_url.under(arguments.coordinator.map(Some)).value;
    let report = leave(&data_dir, url).await?;
    if arguments.json {
        output::json(&report)?;
    } else {
        output::line(report_text(&report))?;
    }
    Ok(())
}

/// Unenrolls this machine and notifies the coordinator, if it can be reached.
///
/// # Errors
/// The same as for [`worker::unenroll`].
pub(crate) async fn leave(
    data_dir: &Path,
    url: Option<String>,
) -> Result<UnenrollReport, WorkerError> {
    // An unreadable folder names no coordinator to notify.
    let known = worker::enrolled_with(data_dir).ok().flatten();
    let (_search, coordinator) = CoordinatorLocator::new(url, None, known.as_ref());
    worker::unenroll(data_dir, coordinator).await
}

/// Describes the result of leaving.
pub(crate) fn report_text(report: &UnenrollReport) -> String {
    let removed =
        format!("deleted the encryption key and {:.1} MB of data", report.bytes as f64 / 1e6);
    match (&report.coordinator, report.device) {
        (UnenrollNotice::NotEnrolled, _) | (_, None) if report.bytes == 0 => {
            "this machine is not in a cluster; nothing to remove".into()
        }
        (UnenrollNotice::NotEnrolled, _) | (_, None) => {
            format!("this machine is not in a cluster; {removed}")
        }
        (UnenrollNotice::Told, Some(_)) => format!("left the cluster; {removed}"),
        (UnenrollNotice::KnewAlready, Some(_)) => {
            format!("the cluster had already removed this machine; {removed}")
        }
        (UnenrollNotice::NotReached { reason }, Some(device)) => format!(
            "left the cluster; {removed}. The coordinator could not be notified ({reason}): it lists device {device} \
             until an administrator revokes it or runs a cleanup"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_states_what_was_removed_and_whether_the_coordinator_knows() {
        let device = "01890a5d-ac96-774b-bcce-b302099a8057".parse().ok();
        let not_reached = UnenrollNotice::NotReached { reason: "no answer in time".into() };
        let messages: Vec<String> = [
            (None, UnenrollNotice::NotEnrolled, 0),
            (None, UnenrollNotice::NotEnrolled, 2_500_000),
            (device, UnenrollNotice::Told, 2_500_000),
            (device, UnenrollNotice::KnewAlready, 0),
            (device, not_reached, 0),
        ]
        .map(|(device, coordinator, bytes)| {
            report_text(&UnenrollReport { device, coordinator, bytes })
        })
        .to_vec();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
