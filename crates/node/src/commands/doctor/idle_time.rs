//! Check of the idle time: whether the idle helper works here, and what the worker reports about it.

use std::path::Path;
use std::time::Duration;

use platform::sensors::idle_helper::{self, IdleHelper};
use platform::sensors::{Sensors, SystemSensors};

use super::check::Check;
use crate::CommandContext;

/// Time for the helper's first reading.
const READING_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that Core Graphics must have counted before a reading of 0 is a fault.
const COUNTS: Duration = Duration::from_mins(1);

/// Facts about the idle time.
#[derive(Debug, Default)]
pub(super) struct IdleFacts {
    /// Reading of a helper that the doctor started. `None` if this system uses no helper.
    helper: Option<Result<Duration, String>>,
    /// Reading of Core Graphics at the same time.
    core_graphics: Option<Duration>,
    /// Why the worker's helper does not count, as the worker last reported it.
    reported: Option<String>,
}

/// Starts a helper if this system uses one, and reads the worker's report.
pub(super) async fn gather(context: &CommandContext, folder: &Path) -> IdleFacts {
    // A worker that can't write its report has logged it.
    let reported = worker::input_warning(folder).ok().flatten();
    if !idle_helper::IS_USED {
        return IdleFacts { reported, ..IdleFacts::default() };
    }
    let command = context.idle_helper();
    let read = move || {
        let helper = IdleHelper::new(command).first_reading(READING_TIMEOUT);
        (helper, SystemSensors::new().input())
    };
    let (helper, core_graphics) = match tokio::task::spawn_blocking(read).await {
        Ok((helper, core_graphics)) => (helper, core_graphics),
        Err(error) => (Err(error.to_string()), None),
    };
    IdleFacts { helper: Some(helper), core_graphics, reported }
}

pub(super) fn check(facts: &IdleFacts) -> Check {
    const NAME: &str = "idle-time";
    let Some(helper) = &facts.helper else {
        return Check::ok(NAME, "This system needs no idle helper");
    };
    let counts = facts.core_graphics.filter(|idle| *idle > COUNTS);
    let problem = match (helper, counts) {
        (Err(reason), _) => Some(format!("The idle helper does not work: {reason}")),
        (Ok(Duration::ZERO), Some(idle)) => Some(format!(
            "The idle helper reads 0, although Core Graphics counts {} s without input",
            idle.as_secs()
        )),
        (Ok(_), _) => facts
            .reported
            .as_ref()
            .map(|reason| format!("The worker reports about its idle helper: {reason}")),
    };
    match problem {
        Some(problem) => Check::warning(
            NAME,
            format!("{problem}. Core Graphics alone decides, and misses some input"),
        )
        .fix(
            "Restart the app or the worker. If the warning stays, install Constellation again and check whether security \
             software blocks its program",
        ),
        None => Check::ok(NAME, "The idle helper and Core Graphics are read"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn facts(helper: Result<u64, &str>, core_graphics: u64, reported: Option<&str>) -> IdleFacts {
        IdleFacts {
            helper: Some(helper.map(Duration::from_secs).map_err(str::to_owned)),
            core_graphics: Some(Duration::from_secs(core_graphics)),
            reported: reported.map(str::to_owned),
        }
    }

    #[test]
    fn each_fault_of_the_helper_is_reported() {
        for fine in [facts(Ok(3), 3, None), facts(Ok(0), 60, None), IdleFacts::default()] {
            assert_eq!(check(&fine).state, State::Ok, "{fine:?}");
        }
        let faults = [
            (facts(Err("it ended"), 3, Some("old")), "does not work: it ended"),
            (facts(Ok(0), 61, None), "reads 0, although Core Graphics counts 61 s"),
            (
                facts(Ok(3), 3, Some("the counter stays at 0")),
                "reports about its idle helper: the counter",
            ),
        ];
        for (facts, expected) in faults {
            let check = check(&facts);
            assert!(check.state == State::Warning && check.fix.is_some(), "{facts:?}");
            assert!(check.found.contains(expected), "{}", check.found);
        }
    }
}
