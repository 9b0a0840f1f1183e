//! `constellation leave`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use worker::{UnenrollNotice, UnenrollReport, WorkerError};

use crate::coordinator_locator::CoordinatorLocator;
use crate::output;
use crate::settings::{Settings, data_dir};

#[derive(Debug, Args)]
pub struct LeaveArguments {
    /// The coordinator's address [default: looks on the local network]
    #[arg(long, value_name = "URL")]
    coordinator: Option<String>,
    /// The worker's folder [default: the system's folder for it]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Which of several workers on this machine
    #[arg(long, default_value_t = platform::account::number())]
    instance: u32,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: LeaveArguments, settings: Settings) -> anyhow::Result<()> {
    let folder = super::worker::folder(arguments.instance);
    let data_dir = data_dir(arguments.data_dir.as_deref(), &folder)?;
    if !arguments.yes && !confirmed(&data_dir)? {
        bail!("nothing was changed");
    }
    let url = settings.coordinator_url.under(arguments.coordinator.map(Some)).value;
    let left = away(&data_dir, url).await?;
    if arguments.json {
        output::json(&left)?;
    } else {
        output::line(words(&left))?;
    }
    Ok(())
}

/// Leaves, and tells the coordinator where that can be found.
///
/// # Errors
/// As [`worker::unenroll`].
pub(crate) async fn away(
    data_dir: &Path,
    url: Option<String>,
) -> Result<UnenrollReport, WorkerError> {
    // A folder that can't be read names nobody to say farewell to.
    let known = worker::enrolled_with(data_dir).ok().flatten();
    let (_looking, coordinator) = CoordinatorLocator::new(url, None, known.as_ref());
    worker::unenroll(data_dir, coordinator).await
}

fn confirmed(data_dir: &Path) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("this takes the machine out of its cluster; say so with --yes");
    }
    output::note(format_args!(
        "This takes the machine out of its cluster and removes all work in {}. Type yes to go on:",
        data_dir.display()
    ));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

pub(crate) fn words(left: &UnenrollReport) -> String {
    let removed =
        format!("the key is destroyed, {:.1} MB of work removed", left.bytes as f64 / 1e6);
    match (&left.coordinator, left.device) {
        (UnenrollNotice::NotEnrolled, _) | (_, None) if left.bytes == 0 => {
            "this machine is in no cluster; nothing was left to remove".into()
        }
        (UnenrollNotice::NotEnrolled, _) | (_, None) => {
            format!("this machine is in no cluster; {removed}")
        }
        (UnenrollNotice::Told, Some(_)) => format!("left the cluster; {removed}"),
        (UnenrollNotice::KnewAlready, Some(_)) => {
            format!("the cluster had let this machine go before; {removed}")
        }
        (UnenrollNotice::NotReached { reason }, Some(device)) => format!(
            "left, and {removed}; the coordinator could not be told ({reason}): it lists device \
             {device} until an administrator revokes it or cleans up"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_says_what_was_removed_and_who_knows() {
        let device = "01890a5d-ac96-774b-bcce-b302099a8057".parse().ok();
        let not_reached = UnenrollNotice::NotReached { reason: "no answer in time".into() };
        let said: Vec<String> = [
            (None, UnenrollNotice::NotEnrolled, 0),
            (None, UnenrollNotice::NotEnrolled, 2_500_000),
            (device, UnenrollNotice::Told, 2_500_000),
            (device, UnenrollNotice::KnewAlready, 0),
            (device, not_reached, 0),
        ]
        .map(|(device, coordinator, bytes)| words(&UnenrollReport { device, coordinator, bytes }))
        .to_vec();
        insta::assert_snapshot!(said.join("\n"));
    }
}
