//! The helper's side: prints the idle time until its input ends or its time is over.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::lines::{HelperLine, LineBuffer, TooLong, parse_rate};
use crate::sensors::PollRate;

/// Time after which a helper ends and is replaced, so that faults of its library don't add up.
pub(super) const LIFETIME: Duration = Duration::from_mins(10);

/// Prints the system's second idle counter on standard output until standard input ends, at most for
/// [`LIFETIME`]. Call it in a process with one thread that does nothing else: the library that reads the
/// counter releases two objects twice and reads one after it released it
/// (`docs/decisions/0012-a-second-idle-counter.md`).
///
/// # Errors
/// The counter can't be read, or standard input can't.
pub fn serve_idle_time() -> io::Result<()> {
    serve(io::stdin(), io::stdout(), hid_idle_time, LIFETIME)
}

#[cfg(target_os = "macos")]
fn hid_idle_time() -> Result<Duration, String> {
    let idle = user_idle::UserIdle::get_time().map_err(|error| error.to_string())?;
    Ok(idle.duration())
}

#[cfg(not(target_os = "macos"))]
fn hid_idle_time() -> Result<Duration, String> {
    Err("only macOS has this counter".to_owned())
}

fn serve(
    input: impl AsFd,
    mut output: impl Write,
    mut read: impl FnMut() -> Result<Duration, String>,
    lifetime: Duration,
) -> io::Result<()> {
    let mut next = Instant::now();
    let (mut rate, end) = (PollRate::Slow, next + lifetime);
    let mut buffer = LineBuffer::default();
    loop {
        let now = Instant::now();
        if now >= next {
            let reading = read();
            let line = match &reading {
                Ok(idle) => HelperLine::Idle(*idle),
                Err(reason) => HelperLine::Failed(reason.clone()),
            };
            // A parent that does not read has ended.
            if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
                return Ok(());
            }
            reading.map_err(io::Error::other)?;
            next = now + rate.interval();
        }
        if now >= end {
            return Ok(());
        }
        if !is_readable(&input, next.min(end).saturating_duration_since(now))? {
            continue;
        }
        let mut piece = [0; 64];
        let length = rustix::io::read(&input, &mut piece)?;
        if length == 0 {
            return Ok(());
        }
        let lines = buffer.push(&piece[..length]);
        let lines = lines.map_err(|TooLong| io::Error::other("a line of the input is too long"))?;
        for line in lines {
            rate = parse_rate(&line)
                .ok_or_else(|| io::Error::other(format!("unknown poll rate '{line}'")))?;
            next = next.min(now + rate.interval());
        }
    }
}

/// Waits until there is input or its end, at most for `wait`.
pub(super) fn is_readable(input: &impl AsFd, wait: Duration) -> io::Result<bool> {
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    let mut polled = [PollFd::new(input, PollFlags::IN)];
    match rustix::event::poll(&mut polled, Some(&wait)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, PipeReader, PipeWriter};
    use std::thread::JoinHandle;

    use super::*;

    /// Serves readings 1, 2, 3… on a thread.
    fn start(
        lifetime: Duration,
    ) -> (PipeWriter, BufReader<PipeReader>, JoinHandle<io::Result<()>>) {
        let (input, to_child) = io::pipe().unwrap();
        let (from_child, output) = io::pipe().unwrap();
        let mut count = 0;
        let read = move || {
            count += 1;
            Ok(Duration::from_nanos(count))
        };
        let serving = std::thread::spawn(move || serve(input, output, read, lifetime));
        (to_child, BufReader::new(from_child), serving)
    }

    #[test]
    fn the_first_reading_comes_at_once_and_the_end_of_input_ends_it() {
        let (to_child, from_child, serving) = start(LIFETIME);
        let mut lines = from_child.lines();
        assert_eq!(lines.next().unwrap().unwrap(), "1");
        drop(to_child);
        assert!(serving.join().unwrap().is_ok());
    }

    #[test]
    fn the_fast_rate_follows_at_once() {
        let (mut to_child, from_child, serving) = start(LIFETIME);
        let mut lines = from_child.lines();
        assert_eq!(lines.next().unwrap().unwrap(), "1");
        let begun = Instant::now();
        to_child.write_all(b"fa").unwrap();
        to_child.write_all(b"st\n").unwrap();
        let numbers: Vec<_> = lines.by_ref().take(5).map(|line| line.unwrap()).collect();
        assert_eq!(numbers, ["2", "3", "4", "5", "6"]);
        assert!(begun.elapsed() >= 4 * PollRate::Fast.interval());
        drop(to_child);
        assert!(serving.join().unwrap().is_ok());
    }

    #[test]
    fn it_ends_by_itself_when_its_time_is_over() {
        let (_to_child, from_child, serving) = start(Duration::from_millis(1));
        assert!(from_child.lines().count() >= 1);
        assert!(serving.join().unwrap().is_ok());
    }

    #[test]
    fn a_parent_that_does_not_read_ends_it() {
        let (mut to_child, from_child, serving) = start(LIFETIME);
        drop(from_child);
        // It may have ended already.
        drop(to_child.write_all(b"fast\n"));
        assert!(serving.join().unwrap().is_ok());
    }

    #[test]
    fn a_counter_that_cannot_be_read_is_reported_on_both_sides() {
        let (input, _to_child) = io::pipe().unwrap();
        let mut output = Vec::new();
        let error = serve(input, &mut output, || Err("no\ncounter".into()), LIFETIME).unwrap_err();
        assert_eq!(error.to_string(), "no\ncounter");
        assert_eq!(output, b"error no counter\n");
    }

    #[test]
    fn nonsense_on_the_input_is_an_error() {
        for nonsense in [&b"quick\n"[..], &[b'x'; 1000]] {
            let (mut to_child, _from_child, serving) = start(LIFETIME);
            to_child.write_all(nonsense).unwrap();
            assert!(serving.join().unwrap().is_err());
        }
    }
}
