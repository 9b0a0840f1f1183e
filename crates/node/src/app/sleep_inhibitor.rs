//! Keeping a coordinator's machine awake while a job is under way, and saying so where it isn't
//! kept. Only the coordinator does this: a worker's machine sleeps as its owner wants.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use platform::awake::{self, Awake};
use platform::sensors::{Power, PowerSource};
use tokio::sync::watch;

use super::state::{Shared, State};
use super::view::CoordinatorView;
use crate::settings::Key;

/// Between two looks at where the power comes from, while a job is under way.
const LOOK: Duration = Duration::from_secs(10);
/// What the system shows to who asks it what keeps the machine awake.
const WHY: &str = "Constellation coordinates a training job";

/// What a machine needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Nothing,
    Awake,
    /// It may fall asleep, and somebody should know.
    Warning(Reason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    OnBattery,
    UnknownPower,
}

/// Takes care of the machine until dropped. `working` says whether a job is under way.
pub(super) async fn keep(shared: Arc<Shared>, mut working: watch::Receiver<bool>) -> Infallible {
    let mut settings = shared.read(State::policy);
    let mut held: Option<Result<Awake, String>> = None;
    loop {
        let works = *working.borrow_and_update();
        settings.mark_unchanged();
        let care = look(&shared, works).await;
        match care {
            Care::Awake if held.is_none() => held = Some(hold().await),
            Care::Awake => {}
            Care::Nothing | Care::Warning(_) => {
                if let Some(Ok(_)) = held.take() {
                    tracing::info!("this machine may sleep again");
                }
            }
        }
        shared.change(|state| {
            let machine = state.facts.device.machine();
            let CoordinatorView::Running { warning, .. } = &mut state.facts.coordinator else {
                return;
            };
            let now = words(care, held.as_ref(), machine);
            if *warning != now {
                if let Some(now) = &now {
                    tracing::warn!("{now}");
                }
                *warning = now;
            }
        });
        tokio::select! {
            Ok(()) = working.changed() => {}
            // Every setting that somebody changes is told here.
            Ok(()) = settings.changed() => {}
            () = tokio::time::sleep(LOOK), if works => {}
            else => std::future::pending().await,
        }
    }
}

async fn look(shared: &Arc<Shared>, works: bool) -> Care {
    let (allowed, sensors) =
        shared.read(|state| (state.settings.is_on(Key::KeepAwake), state.sensors.clone()));
    if !works {
        return Care::Nothing;
    }
    let power = tokio::task::spawn_blocking(move || sensors.power()).await;
    care(allowed, power.ok().flatten())
}

/// What a machine needs on which a job is under way.
fn care(allowed: bool, power: Option<Power>) -> Care {
    match power.map(|power| power.source) {
        Some(PowerSource::Battery) => Care::Warning(Reason::OnBattery),
        Some(PowerSource::Mains) if allowed => Care::Awake,
        None if allowed => Care::Warning(Reason::UnknownPower),
        Some(PowerSource::Mains) | None => Care::Nothing,
    }
}

async fn hold() -> Result<Awake, String> {
    // It may ask another process and wait for it.
    let held = match tokio::task::spawn_blocking(|| awake::hold(WHY)).await {
        Ok(held) => held.map_err(|reason| reason.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if held.is_ok() {
        tracing::info!("this machine is kept awake while a job runs");
    }
    held
}

fn words(care: Care, held: Option<&Result<Awake, String>>, machine: &str) -> Option<String> {
    match (care, held) {
        (Care::Warning(Reason::OnBattery), _) => Some(format!(
            "A job runs and this {machine} is on battery: when it falls asleep, the job waits. \
             Connect it to power."
        )),
        (Care::Warning(Reason::UnknownPower), _) => Some(format!(
            "A job runs, and this {machine} can't tell whether it is on mains: it may fall asleep, \
             and then the job waits."
        )),
        (Care::Awake, Some(Err(reason))) => Some(format!(
            "A job runs, and this {machine} may fall asleep, because it can't be kept awake: {reason}"
        )),
        (Care::Awake | Care::Nothing, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn on(source: PowerSource) -> Power {
        Power { source, level: None }
    }

    #[test]
    fn only_mains_and_the_setting_keep_a_machine_awake() {
        let table = [
            (true, Some(on(PowerSource::Mains)), Care::Awake),
            (false, Some(on(PowerSource::Mains)), Care::Nothing),
            (true, Some(on(PowerSource::Battery)), Care::Warning(Reason::OnBattery)),
            (false, Some(on(PowerSource::Battery)), Care::Warning(Reason::OnBattery)),
            (true, None, Care::Warning(Reason::UnknownPower)),
            (false, None, Care::Nothing),
        ];
        for (allowed, power, expected) in table {
            assert_eq!(care(allowed, power), expected, "{allowed} {power:?}");
        }
    }

    #[test]
    fn whatever_lets_it_sleep_is_said() {
        let refused = Err("there is no logind".to_owned());
        let said = [
            words(Care::Warning(Reason::OnBattery), None, "Mac"),
            words(Care::Warning(Reason::UnknownPower), None, "computer"),
            words(Care::Awake, Some(&refused), "computer"),
        ];
        for words in said.iter().flatten() {
            assert!(words.starts_with("A job runs"), "{words}");
        }
        assert_eq!(said.iter().flatten().count(), 3);
        assert!(said[2].as_ref().unwrap().ends_with("no logind"));
        assert_eq!(words(Care::Nothing, Some(&refused), "Mac"), None);
        assert_eq!(words(Care::Awake, None, "Mac"), None);
    }
}
