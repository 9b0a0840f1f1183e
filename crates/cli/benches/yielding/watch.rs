//! Measures when a process last ran.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cluster::TrainerPhase;
use crate::pointer::Pointer;
use crate::report::Touch;

/// Polling interval; the kernel itself updates the run time of a thread every few milliseconds.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Time without running after which a process counts as stopped.
const QUIET_PERIOD: Duration = Duration::from_millis(200);
/// A process that still runs after this time has another problem than latency.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Moves the pointer and watches the trainer until it stops running or ends.
pub(crate) fn measure(pointer: &mut Pointer, trainer: u32) -> anyhow::Result<Touch> {
    let mut before = run_time(trainer);
    let touched = Instant::now();
    pointer.move_once()?;
    let mut last = touched;
    loop {
        let Some(now) = run_time(trainer) else {
            // The end of the process is its last work.
            return Ok(Touch { phase: TrainerPhase::Step, waited: touched.elapsed(), ended: true });
        };
        let seen = Instant::now();
        if before != Some(now) {
            (before, last) = (Some(now), seen);
        } else if seen.duration_since(last) >= QUIET_PERIOD {
            return Ok(Touch { phase: TrainerPhase::Step, waited: last - touched, ended: false });
        }
        if touched.elapsed() > STOP_TIMEOUT {
            bail!("the trainer {trainer} still runs {} s after a touch", STOP_TIMEOUT.as_secs());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Total run time of all threads of a process in nanoseconds; `None` if it has ended or is a
/// zombie.
fn run_time(pid: u32) -> Option<u64> {
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
