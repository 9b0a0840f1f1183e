//! Keeps a coordinator's machine awake while a job runs, and warns if it can't. Only the coordinator does this: a worker's
//! machine may sleep at any time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use platform::awake::{self, Awake};
use platform::sensors::{Power, PowerSource};
use tokio::sync::watch;

use super::state::{SharedState, State};
use super::view::CoordinatorView;
use crate::settings::Key;

/// Interval between checks of the power source while a job runs.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Reason that the system displays for the sleep inhibitor.
const REASON: &str = "Constellation coordinates a training job";

/// Action on the system's sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SleepPolicy {
    Allow,
    Inhibit,
    /// The machine may fall asleep while a job runs; show a warning.
    Warn(SleepRisk),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SleepRisk {
    OnBattery,
    UnknownPower,
}

/// Applies the sleep policy until dropped. `working` states whether a job runs.
pub(super) async fn keep(
    shared: Arc<SharedState>,
    mut working: watch::Receiver<bool>,
) -> Infallible {
    let mut settings = shared.read(State::policy);
    let mut inhibitor: Option<Result<Awake, String>> = None;
    loop {
        let is_working = *working.borrow_and_update();
        settings.mark_unchanged();
        let policy = current_policy(&shared, is_working).await;
        match policy {
            SleepPolicy::Inhibit if inhibitor.is_none() => inhibitor = Some(inhibit().await),
            SleepPolicy::Inhibit => {}
            SleepPolicy::Allow | SleepPolicy::Warn(_) => {
                if let Some(Ok(_)) = inhibitor.take() {
                    tracing::info!("no job runs: this machine may sleep again");
                }
            }
        }
        shared.change(|state| {
            let machine = state.facts.device.machine();
            let CoordinatorView::Running { warning, .. } = &mut state.facts.coordinator else {
                return;
            };
            let new = warning_text(policy, inhibitor.as_ref(), machine);
            if *warning != new {
                if let Some(new) = &new {
                    tracing::warn!("{new}");
                }
                *warning = new;
            }
        });
        tokio::select! {
            Ok(()) = working.changed() => {}
            // Notified on every change of a setting.
            Ok(()) = settings.changed() => {}
            () = tokio::time::sleep(CHECK_INTERVAL), if is_working => {}
            else => std::future::pending().await,
        }
    }
}

async fn current_policy(shared: &Arc<SharedState>, is_working: bool) -> SleepPolicy {
    let (allowed, sensors) =
        shared.read(|state| (state.settings.is_on(Key::KeepAwake), state.sensors.clone()));
    if !is_working {
        return SleepPolicy::Allow;
    }
    let power = tokio::task::spawn_blocking(move || sensors.power()).await;
    policy_for(allowed, power.ok().flatten())
}

/// Returns the policy while a job runs.
fn policy_for(allowed: bool, power: Option<Power>) -> SleepPolicy {
    match power.map(|power| power.source) {
        Some(PowerSource::Battery) => SleepPolicy::Warn(SleepRisk::OnBattery),
        Some(PowerSource::Mains) if allowed => SleepPolicy::Inhibit,
        None if allowed => SleepPolicy::Warn(SleepRisk::UnknownPower),
        Some(PowerSource::Mains) | None => SleepPolicy::Allow,
    }
}

async fn inhibit() -> Result<Awake, String> {
    // Can block on another process.
    let inhibitor = match tokio::task::spawn_blocking(|| awake::hold(REASON)).await {
        Ok(result) => result.map_err(|reason| reason.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if inhibitor.is_ok() {
        tracing::info!("a job runs: this machine is kept awake");
    }
    inhibitor
}

fn warning_text(
    policy: SleepPolicy,
    inhibitor: Option<&Result<Awake, String>>,
    machine: &str,
) -> Option<String> {
    match (policy, inhibitor) {
        (SleepPolicy::Warn(SleepRisk::OnBattery), _) => Some(format!(
            "A job is running and this {machine} is on battery power. The job pauses when it falls asleep. \
             Connect it to power."
        )),
        (SleepPolicy::Warn(SleepRisk::UnknownPower), _) => Some(format!(
            "A job is running and the power source of this {machine} is unknown. The job pauses when it falls \
             asleep. Connect it to power."
        )),
        (SleepPolicy::Inhibit, Some(Err(reason))) => Some(format!(
            "A job is running and pauses when this {machine} falls asleep, which can't be prevented: {reason}"
        )),
        (SleepPolicy::Inhibit | SleepPolicy::Allow, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn on(source: PowerSource) -> Power {
        Power { source, level: None }
    }

    #[test]
    fn sleep_is_inhibited_on_mains_power_if_the_setting_allows_it() {
        let table = [
            (true, Some(on(PowerSource::Mains)), SleepPolicy::Inhibit),
            (false, Some(on(PowerSource::Mains)), SleepPolicy::Allow),
            (true, Some(on(PowerSource::Battery)), SleepPolicy::Warn(SleepRisk::OnBattery)),
            (false, Some(on(PowerSource::Battery)), SleepPolicy::Warn(SleepRisk::OnBattery)),
            (true, None, SleepPolicy::Warn(SleepRisk::UnknownPower)),
            (false, None, SleepPolicy::Allow),
        ];
        for (allowed, power, expected) in table {
            assert_eq!(policy_for(allowed, power), expected, "{allowed} {power:?}");
        }
    }

    #[test]
    fn every_risk_of_sleep_has_a_warning() {
        let failed = Err("there is no logind".to_owned());
        let warnings = [
            warning_text(SleepPolicy::Warn(SleepRisk::OnBattery), None, "Mac"),
            warning_text(SleepPolicy::Warn(SleepRisk::UnknownPower), None, "computer"),
            warning_text(SleepPolicy::Inhibit, Some(&failed), "computer"),
        ];
        for text in warnings.iter().flatten() {
            assert!(text.starts_with("A job is running"), "{text}");
        }
        assert_eq!(warnings.iter().flatten().count(), 3);
        assert!(warnings[2].as_ref().unwrap().ends_with("no logind"));
        assert_eq!(warning_text(SleepPolicy::Allow, Some(&failed), "Mac"), None);
        assert_eq!(warning_text(SleepPolicy::Inhibit, None, "Mac"), None);
    }
}
