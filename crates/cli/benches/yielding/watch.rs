//! When a process last ran.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cluster::StepPhase;
use crate::desk::Desk;
use crate::report::Touch;

/// Between two looks; the kernel itself counts a running thread every few milliseconds.
const LOOK: Duration = Duration::from_millis(1);
/// Without a run for so long it has stopped.
const QUIET: Duration = Duration::from_millis(200);
/// By then something is wrong with more than a latency.
const PATIENCE: Duration = Duration::from_secs(10);

/// Touches the desk and watches the trainer until it is quiet or gone.
pub(crate) fn touch(desk: &mut Desk, trainer: u32) -> anyhow::Result<Touch> {
    let mut before = ran(trainer);
    let touched = Instant::now();
    desk.touch()?;
    let mut last = touched;
    loop {
        let Some(now) = ran(trainer) else {
            // Its end is its last work.
            return Ok(Touch { phase: StepPhase::Step, waited: touched.elapsed(), ended: true });
        };
        let seen = Instant::now();
        if before != Some(now) {
            (before, last) = (Some(now), seen);
        } else if seen.duration_since(last) >= QUIET {
            return Ok(Touch { phase: StepPhase::Step, waited: last - touched, ended: false });
        }
        if touched.elapsed() > PATIENCE {
            bail!("the trainer {trainer} still works {} s after a touch", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}

/// Nanoseconds that all threads of a process have run; none once it is gone or a zombie.
fn ran(pid: u32) -> Option<u64> {
    let mut sum = 0;
    let mut threads = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // proc_pid_schedstat(5): time spent on the CPU, time waiting for it, slices.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else { continue };
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
        threads += 1;
    }
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let dead = state.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'));
    (threads > 0 && !dead).then_some(sum)
}
