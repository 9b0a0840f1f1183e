//! Starts the helper, reads its lines and replaces it when it ends.

use std::io;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::child::is_readable;
use super::lines::{HelperLine, LineBuffer, MAXIMUM_LINE, TooLong};
use super::state::{SharedState, State};

/// Time for a helper that closed its output to exit.
const EXIT_GRACE: Duration = Duration::from_secs(1);
/// Interval at which its exit is checked.
const EXIT_CHECK: Duration = Duration::from_millis(10);

/// Supervises helpers until the state is stopped.
pub(super) fn run(shared: &SharedState) {
    let limits = shared.limits;
    let mut delay = limits.first_delay;
    loop {
        let begun = Instant::now();
        let problem = supervise_one(shared, begun).err();
        let has_worked = begun.elapsed() >= limits.works_after;
        let must_wait = problem.is_some();
        let is_stopped = shared.change(|state| {
            state.input = None;
            if let Some(problem) = problem {
                state.fail(problem);
            }
            state.is_stopped
        });
        if is_stopped {
            return;
        }
        if has_worked {
            delay = limits.first_delay;
        }
        if must_wait {
            wait_unless(shared, delay, |state| state.is_stopped);
            delay = delay.saturating_mul(2).min(limits.longest_delay);
        }
        if shared.lock().is_stopped {
            return;
        }
    }
}

/// Runs one helper until it has ended. `Ok` if it ended because it was to end.
fn supervise_one(shared: &SharedState, begun: Instant) -> Result<(), String> {
    let mut child = start(shared).map_err(|error| {
        format!("{} can't be started: {error}", shared.command.program.display())
    })?;
    let end = match child.stdout.take() {
        Some(output) => follow(shared, &output, begun),
        None => Err("it has no output".to_owned()),
    };
    shared.lock().input = None;
    if let Err(problem) = end {
        drop(child.kill());
        drop(child.wait());
        return Err(problem);
    }
    let status = exit_status(shared, &mut child).map_err(|error| error.to_string())?;
    let Some(status) = status else {
        return Err("it closed its output and did not end".to_owned());
    };
    if shared.lock().is_stopped {
        return Ok(());
    }
    if status.success() && begun.elapsed() >= shared.limits.may_end_after {
        return Ok(());
    }
    Err(format!("it ended after {} s ({status})", begun.elapsed().as_secs()))
}

fn start(shared: &SharedState) -> io::Result<Child> {
    let mut command = Command::new(&shared.command.program);
    command.args(&shared.command.args);
    // Its reason for an end comes on standard output.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    crate::process::in_background(&mut command, false);
    // This thread lives longer than the child.
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    shared.change(|state| {
        state.starts += 1;
        // Dropped right away if the helper is no longer wanted, which ends it.
        state.input = input.filter(|_| !state.is_stopped);
        if state.rate != crate::sensors::PollRate::default() {
            state.announce_rate();
        }
    });
    Ok(child)
}

/// Records the readings until the output ends.
fn follow(shared: &SharedState, output: &ChildStdout, begun: Instant) -> Result<(), String> {
    let limits = shared.limits;
    let mut buffer = LineBuffer::default();
    let mut last_reading = Instant::now();
    loop {
        let left = limits.silence.saturating_sub(last_reading.elapsed());
        if left.is_zero() {
            return Err(format!("it gave no reading for {:.1} s", limits.silence.as_secs_f64()));
        }
        if !is_readable(output, left).map_err(|error| error.to_string())? {
            continue;
        }
        let mut piece = [0; MAXIMUM_LINE];
        let length = rustix::io::read(output, &mut piece).map_err(|error| error.to_string())?;
        if length == 0 {
            return Ok(());
        }
        let lines = buffer.push(&piece[..length]);
        let lines = lines.map_err(|TooLong| "it printed a line without an end".to_owned())?;
        for line in lines {
            match HelperLine::parse(&line) {
                Some(HelperLine::Idle(idle)) => {
                    let now = Instant::now();
                    last_reading = now;
                    let works = now.duration_since(begun) >= limits.works_after;
                    shared.change(|state| {
                        state.record(idle, now);
                        if works {
                            state.problem = None;
                        }
                    });
                }
                Some(HelperLine::Failed(reason)) => {
                    return Err(format!("it can't read the counter: {reason}"));
                }
                None => return Err(format!("it printed '{line}' instead of a reading")),
            }
        }
    }
}

/// Waits for the exit of a child that closed its output, and kills it if it does not exit.
fn exit_status(shared: &SharedState, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    while begun.elapsed() < EXIT_GRACE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        wait_unless(shared, EXIT_CHECK, |_| false);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Waits for `wait`, or until the state is as asked.
fn wait_unless(shared: &SharedState, wait: Duration, is_so: impl Fn(&State) -> bool) {
    let wait = shared.changed.wait_timeout_while(shared.lock(), wait, |state| !is_so(state));
    drop(wait);
}
